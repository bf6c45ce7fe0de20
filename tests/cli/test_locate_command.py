"""`minifcn locate` as a user meets it: heat maps, boxes, and classes by any of their names."""

import json

import numpy as np
import pytest

from minifcn.cli import main
from minifcn.cli.class_names import find_classes
from minifcn.data import Classes, HotDogs, Normalize
from minifcn.images import read_image, write_png
from minifcn.infer import Predictor
from minifcn.infer.locate import SIDE
from minifcn.interop.names import words_of
from minifcn.models import FCN, SmallEncoder
from minifcn.models.squeezenet import SqueezeNet

SIZE = (72, 96)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    path = tmp_path_factory.mktemp("classifier") / "squeeze.safetensors"
    net = SqueezeNet(3, generator=np.random.default_rng(0))
    last = net.classifier[1].weight
    last.data[...] = np.random.default_rng(1).standard_normal(last.shape)
    Predictor(net, Classes(("plate", "hot dog", "red dog")), Normalize()).save(path)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    scenes = HotDogs(3, SIZE)
    for index, name in enumerate(("7", "12", "30")):
        write_png(folder / f"{name}.png", scenes[index][0])
    return folder


def test_locate_draws_heat_and_writes_boxes(classifier, photos, tmp_path, capsys):
    asked = ["locate", "HOT-dog", str(photos), "--weights", str(classifier)]
    options = ["--out", str(tmp_path), "--side", "128", "--threshold", "0"]
    assert main([*asked, *options]) == 0
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert sorted(seen) == ["12.png", "30.png", "7.png"]
    for name, summary in seen.items():
        assert sum(entry["score"] for entry in summary["whole"]) == pytest.approx(1, abs=1e-5)
        (where,) = summary["where"]
        assert where["label"] == "hot dog" and where["category_id"] == 1 and where["boxes"] == 1
        assert read_image(tmp_path / name).shape[1] >= SIZE[1]
    boxes = json.loads((tmp_path / "boxes.json").read_text())
    assert [result["bbox"] for result in boxes] == [[0.0, 0.0, 96.0, 72.0]] * 3
    assert "looking for hot dog (1)" in capsys.readouterr().out


def test_locate_looks_for_several_classes_at_once(classifier, photos, tmp_path):
    photo = str(photos / "7.png")
    asked = ["locate", "hot dog, plate", photo, "--weights", str(classifier)]
    assert main([*asked, "--out", str(tmp_path), "--side", "0"]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"7_hot_dog.png", "7_plate.png", "boxes.json", "images.json", "seen.json"}


@pytest.mark.parametrize(
    "asked, words",
    [
        ("dog", "'dog' fits 2 classes: 1 (hot dog); 2 (red dog)"),
        ("plaet", "did you mean 'plate'?"),
        ("xyzzy", "no class of this network; its classes are plate, hot dog, red dog"),
        (" ,", "expected a name"),
    ],
)
def test_locate_says_which_classes_there_are(classifier, photos, tmp_path, capsys, asked, words):
    command = ["locate", asked, str(photos), "--weights", str(classifier)]
    assert main([*command, "--out", str(tmp_path / "out")]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_photo_that_cannot_be_read_does_not_stop_the_others(classifier, photos, tmp_path, capsys):
    (tmp_path / "bad.jpg").write_text("no photo")
    both = [str(tmp_path / "bad.jpg"), str(photos / "7.png")]
    command = ["locate", "plate", *both, "--weights", str(classifier)]
    assert main([*command, "--out", str(tmp_path)]) == 1
    assert "bad.jpg" in capsys.readouterr().err
    assert list(json.loads((tmp_path / "seen.json").read_text())) == ["7.png"]


def test_locate_refuses_a_network_without_a_map_of_classes(photos, tmp_path, capsys):
    net = FCN(SmallEncoder(width=4, depth=1), classes=2)
    Predictor(net, Classes(("a", "b")), Normalize()).save(tmp_path / "a.safetensors")
    weights = ["--weights", str(tmp_path / "a.safetensors")]
    assert main(["locate", "a", str(photos), *weights, "--out", "nowhere"]) == 1
    assert "is a FCN, which has no map of classes" in capsys.readouterr().err


def test_help_names_the_side_that_is_taken(capsys):
    with pytest.raises(SystemExit):
        main(["locate", "--help"])
    assert f"as it is ({SIDE})" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "asked, found",
    [
        ("Hot Dog", [934]),
        ("hotdog, hot dog, red hot", [934]),
        ("934", [934]),
        ("Granny smith,banana", [948, 954]),
        ("stoplight", [920]),
        ("tabby", [281]),
        ("smith", [948]),
    ],
)
def test_imagenets_classes_go_by_any_of_their_names(asked, found):
    assert find_classes(asked, words_of("imagenet")) == found


@pytest.mark.parametrize(
    "asked, words",
    [
        ("crane", r"fits 2 classes: 134 .*; 517 "),
        ("dog", r"fits \d+ classes: .* and \d+ more"),
        ("sharck", "did you mean .*shark"),
        ("1000", "no class of this network"),
    ],
)
def test_names_that_fit_none_or_several_are_told(asked, words):
    with pytest.raises(ValueError, match=words):
        find_classes(asked, words_of("imagenet"))
