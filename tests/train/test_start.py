"""What a training begins with: any network by name, weights of others as far as they fit."""

import io
import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from minifcn.cli import main
from minifcn.data import Classes, HotDogs, Normalize
from minifcn.images import write_png
from minifcn.infer import Predictor
from minifcn.interop.known import ESPNET
from minifcn.models import build
from minifcn.train.recipe import Recipe, prepare
from minifcn.train.start import MODELS, load_start, told_by

FAST: dict[str, dict[str, Any]] = {
    "fcn": {"width": 4, "depth": 3},
    "unet": {"width": 2, "depth": 3},
    "espnet": {},
    "fcn_resnet50": {"width": 4},
    "fcn_vgg16": {"width": 2},
}


def arrays(model):
    return {name: t.numpy() for name, t in model.state_dict().items()}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    scenes = HotDogs(4, (32, 40))
    for index in range(4):
        for part, picture in zip(("images", "labels"), scenes[index], strict=True):
            (folder / "train" / part).mkdir(parents=True, exist_ok=True)
            write_png(folder / "train" / part / f"{index}.png", picture)
    classes = {"names": ["background", "hot dog"], "colours": [[0, 0, 0], [255, 160, 0]]}
    (folder / "classes.json").write_text(json.dumps({**classes, "void": None}))
    return folder


@pytest.mark.parametrize("model", MODELS)
def test_every_model_trains_and_comes_back_from_its_file(model, tmp_path):
    recipe = Recipe(epochs=1, batch_size=2, model=model, **FAST[model])
    scenes = HotDogs(2, (32, 40))
    trainer, predictor = prepare(recipe, scenes, None, out=io.StringIO())
    before = arrays(predictor.model)
    trainer.fit()
    moved = [
        name for name, array in arrays(predictor.model).items() if (array != before[name]).any()
    ]
    assert np.isfinite(trainer.losses).all() and moved
    predictor.save(tmp_path / "model.safetensors")
    photo = HotDogs(1, (37, 51))[0][0]
    again = Predictor.load(tmp_path)(photo)
    assert (again.class_map == predictor(photo).class_map).all()


def test_a_recipe_says_what_it_will_do_and_comes_back_as_json():
    recipe = Recipe(model="unet", width=8)
    assert (recipe.depth, recipe.cap, recipe.encoder) == (5, None, None)
    plan = json.loads(json.dumps(asdict(recipe)))
    again = Recipe(**{**plan, "scale": tuple(plan["scale"])})
    assert again.config(3) == recipe.config(3) and again.lr == recipe.lr


@pytest.mark.parametrize(
    "choices, words",
    [
        ({"model": "espnet", "width": 8}, "width is 8, but espnet has no such option"),
        ({"model": "unet", "encoder": "vgg16"}, "encoder is vgg16, but unet"),
        ({"encoder": "resnet18", "depth": 2}, "depth is 2, but fcn on resnet18"),
        ({"model": "uunet"}, "model is 'uunet', expected one of fcn, unet"),
        ({"encoder": "tiny"}, "encoder is 'tiny', expected one of small"),
    ],
)
def test_an_option_that_the_network_has_not_is_refused(choices, words):
    with pytest.raises(ValueError, match=words):
        Recipe(**choices)


def test_a_classifier_becomes_the_encoder_of_an_fcn(data, tmp_path):
    classifier = build({"name": "squeezenet1_1", "classes": 7}, np.random.default_rng(5))
    save_file(arrays(classifier), tmp_path / "weights.safetensors")
    run = tmp_path / "run"
    begin = [
        "train",
        str(data),
        "--out",
        str(run),
        "--weights",
        str(tmp_path / "weights.safetensors"),
    ]
    assert main([*begin, "--epochs", "1", "--batch-size", "4", "--lr", "0"]) == 0
    model: Any = Predictor.load(run).model
    assert model.config["encoder"]["name"] == "squeezenet1_1"
    theirs = arrays(classifier)
    for name, array in arrays(model.encoder).items():  # a learning rate of 0 leaves them
        np.testing.assert_array_equal(array, theirs[name])
    assert all((score.weight.numpy() == 0).all() for score in model.scores)
    # The run goes on without the file, and by the file's name nothing is loaded again.
    (tmp_path / "weights.safetensors").unlink()
    assert main(["train", str(data), "--out", str(run), "--resume"]) == 0


def test_a_resumed_run_keeps_its_own_weights(data, tmp_path):
    net: Any = build(
        {"name": "unet", "classes": 2, "width": 2, "depth": 2, "padding": "valid"},
        np.random.default_rng(0),
    )
    given = Predictor(net, Classes(("a", "b")), Normalize((0.1, 0.2, 0.3), (1, 2, 3), "BGR"))
    given.save(tmp_path / "given.safetensors")
    options = [
        "--weights",
        str(tmp_path / "given.safetensors"),
        "--epochs",
        "2",
        "--batch-size",
        "2",
    ]
    runs = [tmp_path / "straight", tmp_path / "resumed"]
    for run in runs:
        assert main(["train", str(data), "--out", str(run), *options]) == 0
    before = arrays(Predictor.load(runs[1]).model)
    assert main(["train", str(data), "--out", str(runs[1]), "--resume", *options[:2]]) == 0
    again = Predictor.load(runs[1])
    assert all((array == before[name]).all() for name, array in arrays(again.model).items())
    assert again.normalize == given.normalize
    model: Any = again.model
    config = model.config
    assert (config["width"], config["depth"], config["norm"]) == (2, 2, False)


def test_a_segmentation_keeps_its_layers_and_input_for_other_classes(tmp_path):
    net = build({"name": "espnet", "classes": 12, "p": 1, "q": 1}, np.random.default_rng(0))
    save_file(arrays(net), tmp_path / "espnet.safetensors")
    start = told_by(tmp_path / "espnet.safetensors")
    assert start.config == {"name": "espnet", "p": 1, "q": 1}
    assert start.normalize == ESPNET
    model: Any = build({**start.config, "classes": 3}, np.random.default_rng(1))
    load_start(model, tmp_path / "espnet.safetensors")
    theirs = arrays(net)
    for name, array in arrays(model).items():
        assert array.shape != theirs[name].shape or (array == theirs[name]).all()


def test_a_backbone_takes_a_classifier(tmp_path):
    classifier: Any = build(
        {"name": "resnet50", "classes": 3, "width": 4}, np.random.default_rng(0)
    )
    save_file(arrays(classifier), tmp_path / "resnet50.safetensors")
    model: Any = build({"name": "fcn_resnet50", "classes": 2, "width": 4})
    assert "the backbone" in load_start(model, tmp_path / "resnet50.safetensors")
    np.testing.assert_array_equal(
        model.backbone.layer4[2].conv3.weight.numpy(), classifier.layer4[2].conv3.weight.numpy()
    )


def test_weights_of_another_network_are_refused(data, tmp_path, capsys):
    save_file(arrays(build({"name": "espnet", "classes": 2})), tmp_path / "espnet.safetensors")
    begin = ["train", str(data), "--out", str(tmp_path / "run"), "--model", "unet", "--width", "2"]
    assert main([*begin, "--weights", str(tmp_path / "espnet.safetensors")]) == 1
    error = capsys.readouterr().err
    assert "espnet.safetensors: holds 0 of the" in error and "another network's file?" in error
    assert main([*begin, "--weights", str(tmp_path / "none")]) == 1
    assert "none: no such file" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
