"""The recipe: class weights by formula; the scenes are learnt, and not by colour alone."""

import io
from typing import Any

import numpy as np
import pytest

from minifcn import nn
from minifcn.cli import main
from minifcn.data import Classes, HotDogs, Loader, Normalize, Shrunk
from minifcn.infer import Predictor
from minifcn.optim import SGD
from minifcn.optim.schedule import Poly
from minifcn.train.communicator import together
from minifcn.train.recipe import Recipe, class_weights, evaluate, prepare
from minifcn.train.trainer import Trainer


class Labels:
    classes = Classes(("a", "b", "c", "nothing"), void=3)
    names = ["only"]

    def __len__(self):
        return 1

    def __getitem__(self, index):
        label = np.array([[0, 0, 0, 0, 0, 0, 1, 1, 3, 3]], np.uint8)
        return np.zeros((1, 10, 3), np.uint8), label


def test_class_weights_follow_their_formula():
    share = np.array([6, 2]) / 8
    wanted = (share.mean() / share) ** 0.5
    wanted /= (wanted * share).sum()
    weights = class_weights(Labels(), 0.5)
    assert weights is not None
    np.testing.assert_allclose(weights, [*wanted, 0], rtol=1e-6)
    assert class_weights(Labels(), 0) is None


def test_a_predictor_comes_back_from_its_file(tmp_path):
    scenes = HotDogs(4, (24, 32))
    _, predictor = prepare(Recipe(epochs=1, width=4, depth=3), Shrunk(scenes, 2), None, shrink=2)
    predictor.save(tmp_path / "model.safetensors")
    again = Predictor.load(tmp_path)
    photo = scenes[0][0]
    assert again.classes == scenes.classes and again.shrink == 2
    assert (again(photo).class_map == predictor(photo).class_map).all()


def test_shrunk_training_meets_the_same_pixels_as_shrunk_prediction():
    scenes = HotDogs(1, (24, 32))
    _, predictor = prepare(Recipe(epochs=1, width=4, depth=2), Shrunk(scenes, 2), None, shrink=2)
    seen = []
    model: Any = predictor.model
    inner = model.encoder.forward

    def noted(x):
        seen.append(x.numpy())
        return inner(x)

    model.encoder.forward = noted
    photo = scenes[0][0]
    predictor(photo)
    small = predictor.normalize(Shrunk(scenes, 2)[0][0])
    # One grey value: the data set rounds, the prediction does not.
    step = 1 / 255 / min(predictor.normalize.std)
    np.testing.assert_allclose(seen[-1][0], small, atol=0.51 * step)


class Mixed:
    """Scenes of two sizes, with or without a void class."""

    def __init__(self, void):
        self.parts = [HotDogs(3, (24, 40)), HotDogs(3, (32, 20))]
        self.classes = Classes(("background", "hot dog"), void=void)
        self.names = self.parts[0].names + self.parts[1].names

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return self.parts[index % 2][index // 2]


@pytest.mark.parametrize("void", [None, 255])
@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.7, 1.5)])
def test_photos_of_several_sizes_train_together(void, scale):
    recipe = Recipe(epochs=2, batch_size=3, width=4, depth=3, scale=scale)
    trainer, _ = prepare(recipe, Mixed(void), None, out=io.StringIO())
    trainer.fit()
    assert len(trainer.losses) == 4 and np.isfinite(trainer.losses).all()
    shapes = {x.shape[2:] for x, _ in trainer.loader.epoch(0)}
    assert shapes == {(24, 20) if void is None else (24, 40)}


def test_processes_share_the_photos_of_an_evaluation(run):
    scenes = HotDogs(5, (24, 32))
    _, predictor = prepare(Recipe(epochs=1, width=4, depth=2), scenes, None)
    seen: list[int] = []

    class Noted(HotDogs):
        def __getitem__(self, index):
            seen.append(index)
            return super().__getitem__(index)

    def job(team):
        with together(team):
            return evaluate(predictor, Noted(5, (24, 32))).matrix

    alone = evaluate(predictor, scenes).matrix
    for matrix in run(3, job):
        np.testing.assert_array_equal(matrix, alone)
    assert sorted(seen) == [0, 1, 2, 3, 4]


def one_by_one():
    """Colour is all that a network of 1x1 convolutions sees."""
    rng = np.random.default_rng(0)
    layers: list[nn.Module] = []
    for before, after in ((3, 32), (32, 32)):
        layers += [nn.Conv2d(before, after, 1, generator=rng), nn.BatchNorm2d(after), nn.ReLU()]
    model: Any = nn.Sequential(*layers, nn.Conv2d(32, 2, 1, generator=rng))
    model.stride, model.radius = 1, 0
    return model


@pytest.mark.slow
def test_the_scenes_are_no_colour_puzzle():
    """The demo's data, steps and optimizer; a net that sees single pixels stays below 0.6 mIoU."""
    scenes = HotDogs(640)
    trainer, predictor = prepare(
        Recipe(epochs=6, balance=0.25, scale=(1, 1), jitter=0.0), scenes, None
    )
    model = one_by_one()
    loader = Loader(scenes, 8, normalize=predictor.normalize, drop_last=True)
    optimizer = SGD(list(model.parameters()), lr=0.1, momentum=0.9, nesterov=True)
    blind = Trainer(
        model,
        optimizer,
        loader,
        epochs=6,
        loss=trainer.loss,
        schedule=Poly(6 * len(loader)),
        out=io.StringIO(),
    )
    blind.fit()
    judged = Predictor(model, scenes.classes, predictor.normalize)
    score = evaluate(judged, scenes.held_out(100)).mean_iou
    assert 0.4 < score < 0.6
    assert predictor.normalize.std == Normalize().std


@pytest.mark.slow
def test_the_demo_finds_the_hot_dogs(tmp_path, capsys):
    import json

    assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    scores = json.loads((tmp_path / "demo" / "scores.json").read_text())
    assert scores["mean_iou"] >= 0.90
    assert {p.name for p in (tmp_path / "demo").iterdir()} == {
        "demo.png",
        "loss.png",
        "model.safetensors",
        "scores.json",
    }
