"""A network on photos of any size: tiles see what the whole sees, and a file keeps all of it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import save_file

from minifcn import files
from minifcn.data import Classes, Normalize
from minifcn.files import FileError
from minifcn.infer import Predictor, predict_classes
from minifcn.models import FCN, SmallEncoder

CLASSES = Classes(("sky", "road", "tree"))


def predictor(shrink=1, seed=0, **changes):
    """Random weights large enough that every class wins somewhere."""
    rng = np.random.default_rng(seed)
    model = FCN(SmallEncoder(width=4, depth=3), classes=3)
    for parameter in model.parameters():
        parameter.data[...] = rng.standard_normal(parameter.shape) * 0.3
    model.eval()
    return Predictor(model, CLASSES, Normalize((0.5,) * 3, (0.25,) * 3), shrink, **changes)


def photo(H, W, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (H, W, 3), dtype=np.uint8)


@pytest.mark.parametrize("shrink", [1, 2, 3])
@pytest.mark.parametrize("H, W", [(1, 1), (1, 230), (231, 2), (190, 101), (97, 200)])
def test_tiles_see_what_the_whole_sees(shrink, H, W):
    whole = predictor(shrink)
    x = photo(H, W)
    logits = whole.logits(whole.normalize(x)[None])[0]
    assert logits.shape == (3, H, W)
    least, best = np.sort(logits, axis=0)[-2:]
    sure = best - least > 1e-5 * np.abs(logits).max()  # sums are rounded in another order
    assert sure.mean() > 0.98

    runs = []

    def watched(tile):
        runs.append(tile.shape[2] * tile.shape[3])
        return whole.logits(tile)

    stride, margin = whole.model.stride * shrink, (whole.model.radius + 1) * shrink
    smallest = (stride + 2 * -(-margin // stride) * stride) ** 2
    seen = predict_classes(
        watched,
        whole.normalize(x)[None],
        stride=stride,
        margin=margin,
        bytes_per_pixel=1,
        memory_limit=3 * smallest,
    )
    assert max(runs) <= 3 * smallest and sum(runs) >= H * W
    assert len(runs) > 1 or H * W <= 3 * smallest
    for class_map in (seen.class_map[0], whole(x).class_map):
        np.testing.assert_array_equal(class_map[sure], logits.argmax(axis=0)[sure])


def test_memory_limits_cut_a_photo():
    x = photo(400, 300)
    whole = predictor()
    limit = int(whole.bytes_per_pixel * 400 * 300 / 4)
    tracemalloc.start()
    predictor(memory_limit=limit)(x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.5 * limit


@pytest.mark.parametrize("shrink", [1, 2])
def test_a_file_gives_the_same_predictor_back(tmp_path, shrink):
    before = predictor(shrink, notes={"epochs": 3})
    before.save(tmp_path / "model.safetensors")
    after = Predictor.load(tmp_path)
    assert (after.classes, after.normalize, after.shrink) == (CLASSES, before.normalize, shrink)
    assert after.notes == {"epochs": 3}
    x = photo(30, 41)
    np.testing.assert_array_equal(after(x).class_map, before(x).class_map)
    assert len(np.unique(after(x).class_map)) > 1


def test_bad_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Predictor.load(tmp_path / "nowhere")
    path = tmp_path / "cut.safetensors"
    predictor().save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FileError, match="cut.safetensors"):
        Predictor.load(path)


@pytest.mark.parametrize(
    "metadata, words",
    [
        (None, "not written by minifcn"),
        ({"minifcn": "{"}, "is no JSON"),
        ({"minifcn": "[1]"}, "expected an object"),
        ({"minifcn": '{"kind": "checkpoint"}'}, "is a checkpoint"),
        ({"minifcn": '{"kind": "model", "format": 99}'}, "this version"),
    ],
)
def test_a_file_that_is_no_model_says_why(tmp_path, metadata, words):
    path = tmp_path / "strange.safetensors"
    save_file({"w": np.zeros(1, np.float32)}, path, metadata)
    with pytest.raises(FileError, match=f"strange.safetensors.*{words}"):
        Predictor.load(path)


def without(path, key):
    """The file as if it had been written without one entry of its description."""
    arrays, meta = files.load(path)
    files.save(path, arrays, {name: value for name, value in meta.items() if name != key})


@pytest.mark.parametrize("key", ["model", "classes", "mean", "std", "shrink"])
def test_what_a_file_lacks_is_named(tmp_path, key):
    path = tmp_path / "model.safetensors"
    predictor().save(path)
    without(path, key)
    with pytest.raises(FileError, match=f"model.safetensors: its description lacks '{key}'"):
        Predictor.load(path)


@pytest.mark.parametrize("key", ["side", "notes"])
def test_a_file_may_lack_what_has_a_default(tmp_path, key):
    path = tmp_path / "model.safetensors"
    predictor(shrink=3).save(path)
    without(path, key)
    after = Predictor.load(path)
    assert (after.side, after.notes, after.shrink) == (None, {}, 3)


@pytest.mark.parametrize(
    "size, side, k",
    [((90, 120), 90, 1), ((360, 480), 180, 2), ((3000, 4000), 96, 31), ((1, 9), 90, 1)],
)
def test_a_photo_is_shown_about_as_large_as_those_of_the_training(size, side, k):
    fitting = predictor(shrink=5, side=side).shrink_for(np.zeros((*size, 3), np.uint8))
    assert fitting == k
    assert fitting == 1 or abs(min(size) / k - side) <= side / 2
    assert predictor(shrink=5).shrink_for(np.zeros((*size, 3), np.uint8)) == 5
