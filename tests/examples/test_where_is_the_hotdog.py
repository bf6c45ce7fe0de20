"""The example learns a 1x1 convolution, and its files say at every place what it has learnt."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minifcn as mf
from minifcn.data import Normalize
from minifcn.images import write_png
from minifcn.models.squeezenet import SqueezeNet
from tests.shared_data import shared_data

FOLDER = Path(__file__).resolve().parents[2] / "examples"
EXAMPLE = FOLDER / "where_is_the_hotdog.py"


@pytest.fixture(scope="module")
def example():
    sys.path.insert(0, str(FOLDER))
    try:
        yield runpy.run_path(str(EXAMPLE))
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def squeezenet():
    return SqueezeNet(1000, generator=np.random.default_rng(0)).eval()


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, str(EXAMPLE), *arguments],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(FOLDER.parent), "PATH": ""},
        **options,
    )


@pytest.mark.parametrize("arguments", [[], ["nowhere"], ["nowhere", "--weights", "nothing"]])
def test_without_photos_it_says_what_it_needs(arguments, tmp_path):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 1 and not list(tmp_path.iterdir())
    wanted = ("train/hotdog", "train/other", "val/hotdog", "val/other", "--weights")
    assert all(word in done.stderr for word in wanted)


def test_a_head_is_where_its_loss_is_flat(example):
    """The gradient of the loss is that of the decay: checked by the formula, in float64."""
    rng = np.random.default_rng(0)
    f = rng.standard_normal((400, 6)) * 0.5 + 2
    truth = rng.standard_normal(6)
    target = (f @ truth - 2 * truth.sum() + 0.5 * rng.standard_normal(400) > 0).astype(float)
    known, decay = rng.standard_normal(6), 0.1
    head = example["fit"](f, target, decay, known)
    error = 1 / (1 + np.exp(-head(f))) - target
    spread, r = f.std(axis=0).mean(), 5 * known / (f @ known).std()
    assert abs(error.mean()) < 2e-3, "the bias is free"
    # with w = v / spread + c r, the loss pulls v by decay v, and c by decay c
    gw = ((f - f.mean(axis=0)) * error[:, None]).mean(axis=0)
    v = -gw / spread / decay
    c = -(gw @ r) / decay
    np.testing.assert_allclose(v / spread + c * r, head.w, atol=0.03 * np.abs(head.w).max())


def test_tile_means_are_means_over_the_cells_of_each_tile(example, squeezenet):
    values = np.random.default_rng(0).standard_normal((3, 27, 41))
    sums, counts = np.zeros((6, 3)), np.zeros(6)
    for i, j in np.ndindex(27, 41):
        tile = int((16 * i + 15.5) // 224) * 3 + int((16 * j + 15.5) // 224)
        sums[tile] += values[:, i, j]
        counts[tile] += 1
    means = example["tile_means"](values, squeezenet.grid)
    np.testing.assert_allclose(means, sums / counts[:, None], atol=1e-12)


def test_both_files_say_at_every_cell_what_the_head_says(example, squeezenet):
    rng = np.random.default_rng(0)
    head = example["Head"](rng.standard_normal(512) * 0.3, 0.2)
    x = mf.tensor(rng.standard_normal((1, 3, 97, 130)).astype(np.float32))
    with mf.no_grad():
        f = squeezenet.features(x).numpy()[0]
        pair = example["classifier"](squeezenet, head).class_map(x).numpy()[0]
        dense = example["segmenter"](squeezenet, head)(x).numpy()[0]
    a = head(f.transpose(1, 2, 0))
    assert a.min() < 0 < a.max()
    np.testing.assert_allclose(pair[1] - pair[0], a, atol=1e-4 * np.abs(a).max())
    assert dense.shape == (2, 97, 130)
    h, w = a.shape
    middles = (dense[1] - dense[0])[15 : 15 + 16 * h : 16, 15 : 15 + 16 * w : 16]
    np.testing.assert_allclose(middles, a, atol=1e-3 * np.abs(a).max())


def test_views_are_squares_and_the_first_is_what_photos_are_judged_by(example):
    photo = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    views = example["views"](np.random.default_rng(1), photo)
    assert views.shape[1:] == (224, 224, 3) and len(views) >= 4
    np.testing.assert_array_equal(views[0], example["middle"](photo))
    np.testing.assert_array_equal(views[2], views[1][:, ::-1])


def test_pages_show_every_picture_with_its_heat(example, squeezenet, tmp_path):
    head = example["Head"](np.full(512, 0.01), 0.0)
    locator = example["Locator"](
        example["classifier"](squeezenet, head), ("other", "hot dog"), Normalize(), side=64
    )
    photos = [np.full((40, 50 + k, 3), 40 * k, np.uint8) for k in range(6)]
    drawn = example["page"](locator, photos)
    write_png(tmp_path / "page.png", drawn)
    assert drawn.shape[0] > 2 * 40 and drawn.shape[1] > 3 * 2 * 50


@pytest.mark.slow
def test_hot_dogs_are_told_and_found(tmp_path):
    photos = shared_data("hotdog")
    weights = shared_data("squeezenet_v1_1") / "squeezenet_v1_1.safetensors"
    done = run(str(photos), "--weights", str(weights), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["val"]["all"]["share"] >= 0.85
    assert scores["mosaics"]["right"] >= 48 and scores["mosaics"]["of"] == 60
