"""Files without a word of what they hold are recognised, and bring classes and convention along."""

import json

import numpy as np
import pytest

import minifcn as mf
from minifcn.data import Classes, Normalize
from minifcn.files import FileError, save
from minifcn.infer import Locator, Predictor
from minifcn.interop import KNOWN, Opened, open_model, recognise
from minifcn.interop.names import classes_of, find_class, words_of
from minifcn.models import build, convolutionize
from minifcn.models.described import config_of
from tests.shared_data import shared_data

SMALL = {  # what of the shapes is free
    "squeezenet1_1": {"classes": 7},
    "espnet": {"classes": 5, "p": 1, "q": 3},
}


def state_of(model):
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def shapes_of(name, **options):
    model = build({"name": name, **options}, blank=True)
    return {key: tensor.shape for key, tensor in model.named_parameters()}


@pytest.mark.parametrize("name", KNOWN)
def test_every_known_network_is_recognised_and_no_other(name):
    shapes = shapes_of(name, classes=9)
    assert [known.name for known in KNOWN.values() if known.fits(shapes)] == [name]
    known = recognise(shapes)
    assert known is not None and known.config(shapes)["classes"] == 9
    again = build(known.config(shapes), blank=True)
    assert {key: t.shape for key, t in again.named_parameters()} == shapes


def test_an_auxiliary_classifier_is_seen():
    """torchvision's files have one; who trained without has none."""
    for aux in (True, False):
        shapes = shapes_of("fcn_resnet50", classes=21, aux=aux)
        assert KNOWN["fcn_resnet50"].config(shapes)["aux"] == aux


def test_others_are_not_taken_for_known_ones():
    assert recognise({}) is None
    assert recognise(shapes_of("unet", classes=2, width=4)) is None
    deeper = shapes_of("resnet50") | {"layer3.6.conv1.weight": (256, 1024, 1, 1)}  # ResNet-101
    assert recognise(deeper) is None
    wide = shapes_of("resnet50") | {"layer1.0.conv2.weight": (128, 128, 3, 3)}
    assert recognise(wide) is None
    vgg19 = shapes_of("vgg16") | {"features.30.weight": (512, 512, 3, 3)}
    assert recognise(vgg19) is None


@pytest.mark.parametrize("name", SMALL)
def test_bare_weights_become_the_model(name, tmp_path):
    model = build({"name": name, **SMALL[name]}, generator=np.random.default_rng(0)).eval()
    save(tmp_path / "weights.safetensors", state_of(model), {})
    from safetensors.numpy import save_file

    save_file(state_of(model), tmp_path / "bare.safetensors")
    opened = open_model(tmp_path / "bare.safetensors")
    assert opened.known is KNOWN[name] and opened.normalize == KNOWN[name].normalize
    assert opened.classes.names[-1] == f"class {len(opened.classes.names) - 1}", "not the usual"
    x = mf.tensor(np.random.default_rng(1).standard_normal((1, 3, 40, 48)).astype(np.float32))
    with mf.no_grad():
        assert np.array_equal(opened.model(x).numpy(), model(x).numpy())
        assert not opened.model.training


def test_files_of_ours_say_it_themselves(tmp_path):
    encoder = {"name": "small", "width": 4, "depth": 2}
    model = build({"name": "fcn", "encoder": encoder, "classes": 2})
    classes = Classes(("ground", "thing"))
    normalize = Normalize((0.1, 0.2, 0.3), (1.0, 2.0, 3.0), "BGR")
    Predictor(model, classes, normalize).save(tmp_path / "own.safetensors")
    opened = open_model(tmp_path / "own.safetensors")
    assert opened.known is None and config_of(opened.model) == config_of(model)
    assert (opened.classes, opened.normalize) == (classes, normalize)
    photo = np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    ours = Predictor(model.eval(), classes, normalize)(photo).class_map
    assert np.array_equal(opened.predictor()(photo).class_map, ours)


def test_what_cannot_be_told_can_be_said(tmp_path):
    from safetensors.numpy import save_file

    path, config = tmp_path / "a.safetensors", {"name": "unet", "classes": 2, "width": 4}
    save_file(state_of(build(config)), path)
    with pytest.raises(FileError, match="a.safetensors: holds no network known here"):
        open_model(path)
    opened = open_model(path, config)
    assert opened.classes.names == ("class 0", "class 1") and config_of(opened.model) == config_of(
        build(config)
    )
    with pytest.raises(FileError, match="is no resnet18: it has no fc.weight"):
        open_model(path, "resnet18")
    with pytest.raises(ValueError, match="model is 'unet', expected one of squeezenet1_1"):
        open_model(path, "unet")
    with pytest.raises(FileError, match="a.safetensors.*does not fit UNet"):
        open_model(path, {**config, "width": 8})
    with pytest.raises(FileNotFoundError, match="nowhere.safetensors"):
        open_model(tmp_path / "nowhere.safetensors")


def test_classes_have_names_colours_and_words():
    imagenet, voc, camvid = (classes_of(data) for data in ("imagenet", "voc", "camvid"))
    assert (len(imagenet.names), voc.count, camvid.count) == (1000, 21, 11)
    assert imagenet.names[134] == "crane (bird)" and imagenet.names[517] == "crane (machine)"
    assert voc.void == 255 and voc.colours[15] == (192, 128, 128), "a person is rose"
    assert camvid.names[camvid.void or 0] == "Unlabelled" and camvid.colours[3] == (128, 64, 128)
    assert all(words[0] for words in words_of("imagenet"))
    assert {known.data for known in KNOWN.values()} == {"imagenet", "voc", "camvid"}


def test_classes_are_found_by_any_of_their_words():
    assert KNOWN["resnet18"].index("hot dog") == find_class("imagenet", "HOTDOG") == 934
    assert find_class("imagenet", "crane (machine)") == 517
    assert find_class("imagenet", "maillot, tank suit") == 639
    assert find_class("camvid", "car") == 8
    with pytest.raises(ValueError, match=r"'crane' is several classes of imagenet: 134 .*, 517"):
        find_class("imagenet", "crane")
    with pytest.raises(
        ValueError, match="'hot dgo' is no class of imagenet; did you mean 'hot dog"
    ):
        find_class("imagenet", "hot dgo")
    with pytest.raises(ValueError, match="'' is no class of voc$"):
        find_class("voc", "")
    for k, name in enumerate(classes_of("imagenet").names):
        assert find_class("imagenet", name) == k, "the name that is shown finds its class"


def test_the_class_list_is_the_one_of_the_real_weights():
    rows = (shared_data("squeezenet_v1_1") / "classes.txt").read_text("utf-8").splitlines()
    words = words_of("imagenet")
    for k, row in enumerate(rows):
        assert row.split(" ", 1)[1] == ", ".join(w for w in words[k] if "(" not in w)
    theirs = json.loads((shared_data("camvid") / "classes.json").read_text("utf-8"))
    assert tuple(theirs["names"]) == classes_of("camvid").names
    assert tuple(map(tuple, theirs["colours"])) == classes_of("camvid").colours


def test_real_squeezenet_gives_its_reference_logits():
    folder = shared_data("squeezenet_v1_1")
    opened = open_model(folder / "squeezenet_v1_1.safetensors")
    assert opened.known is KNOWN["squeezenet1_1"]
    network, _ = convolutionize(opened.model, 224)
    references = np.load(folder / "reference_logits.npz")
    from minifcn.images import read_image

    seen = 0
    for photo in sorted(shared_data("demo_photos").glob("*_crop224.png"))[:3]:
        name = next((key for key in references.files if photo.stem.removesuffix("_crop224") in key
                     and references[key].shape == (1000,)), None)  # fmt: skip
        if name is None:
            continue
        with mf.no_grad():
            x = mf.tensor(opened.normalize(read_image(photo))[None])
            got = opened.model(x).numpy()[0]
            cells = network(x).numpy()[0]
        assert cells.shape == (1000, 1, 1)
        assert np.abs(cells[:, 0, 0] - references[name]).max() < 1e-3
        assert np.abs(got - references[name]).max() < 1e-3
        seen += 1
    assert seen == 3


def test_a_class_has_all_its_words_whoever_wrote_the_file():
    model = build({"name": "unet", "classes": 2, "width": 2})
    classes = classes_of("imagenet")
    for known in (None, KNOWN["resnet18"]):
        words = Opened(model, classes, Normalize(), known).words
        assert words[934] == ("hotdog", "hot dog", "red hot") and words[517][0] == "crane (machine)"
    assert Opened(model, Classes(("a", "b")), Normalize()).words == [("a",), ("b",)]


def test_classifiers_get_a_map_of_classes():
    """SqueezeNet has one; a mean's shares, or a window's answers, are made by surgery."""
    classes = classes_of("imagenet")
    x = mf.tensor(np.random.default_rng(0).standard_normal((1, 3, 256, 288)).astype(np.float32))
    for name, cells in (("squeezenet1_1", 7), ("resnet18", 7), ("vgg16", 1)):
        narrow = {} if name == "squeezenet1_1" else {"width": 4}
        model = build({"name": name, **narrow}, generator=np.random.default_rng(0)).eval()
        opened = Opened(model, classes, Normalize(), KNOWN[name])
        network, window = opened.mapped()
        assert window == cells
        with mf.no_grad():
            y = network.class_map(x).numpy()
            if name == "resnet18":
                assert y.shape == (1, 1000, 8, 9)
                assert np.allclose(y.mean((2, 3)), model(x).numpy(), atol=1e-4)
            if name == "vgg16":
                assert y.shape == (1, 1000, 2, 3)
        photo = np.random.default_rng(1).integers(0, 256, (300, 380, 3), dtype=np.uint8)
        found = Locator(network, classes.names, Normalize(), window=window)(photo, [934])
        assert found.spots[0].heat.shape == (300, 380)
        again = Opened(network, classes, Normalize())  # as a file of ours would give it
        assert again.mapped() == (network, cells)
    fcn = build({"name": "unet", "classes": 2, "width": 2})
    with pytest.raises(ValueError, match="is a UNet, which has no map of classes"):
        Opened(fcn, Classes(("a", "b")), Normalize()).mapped()
