"""HotDogs: the same scene everywhere, a mask that fits the picture, and no puzzle of colours."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from minifcn.data import HotDogs
from minifcn.data.hotdogs import HELD_OUT, food, scene
from minifcn.data.hotdogs.paint import Canvas, Dice, Pose, box, capsule, taper


def digest(scenes):
    total = hashlib.sha256()
    for i in range(len(scenes)):
        for array in scenes[i]:
            total.update(array.tobytes())
    return total.hexdigest()


def test_a_scene_depends_on_seed_and_index_alone():
    one, two = HotDogs(6, seed=3), HotDogs(40, seed=3, cache=False)
    for i in (5, 0, 2):
        np.testing.assert_array_equal(one[i][0], two[i][0])
        np.testing.assert_array_equal(one[i][1], two[i][1])


def test_the_bits_do_not_depend_on_the_vector_units_of_the_processor():
    """The same scenes from a NumPy that is told to use none of its optional instructions."""
    config: Any = np.show_config(mode="dicts")
    optional = config["SIMD Extensions"].get("found", [])
    if not optional:
        pytest.skip("this NumPy has no optional vector instructions to turn off")
    here = os.path.dirname(os.path.abspath(__file__))
    code = "import test_hotdogs as t; print(t.digest(t.HotDogs(12)))"
    plain = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "NPY_DISABLE_CPU_FEATURES": " ".join(optional),
            "PYTHONPATH": os.pathsep.join([here, *sys.path]),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert plain.stdout.strip() == digest(HotDogs(12))


def test_scenes_and_seeds_differ():
    scenes = [HotDogs(3, seed=seed)[i][0].tobytes() for seed in (0, 1, HELD_OUT) for i in range(3)]
    assert len(set(scenes)) == 9


def test_held_out_scenes_have_a_seed_that_training_cannot_have():
    train = HotDogs(5, size=(32, 48), seed=4)
    test = train.held_out(7)
    assert (len(test), test.size, test.seed) == (7, train.size, 4 + HELD_OUT)
    assert digest(test) != digest(HotDogs(7, size=(32, 48), seed=4))


@pytest.mark.parametrize("size", [(96, 128), (64, 64), (33, 97), (160, 96), (16, 16), (240, 320)])
def test_any_size_gives_image_and_mask(size):
    image, mask = HotDogs(2, size=size)[1]
    assert image.shape == (*size, 3) and image.dtype == np.uint8
    assert mask.shape == size and mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 1}
    assert image.std() > 5


def test_shares_of_hot_dogs_are_sane():
    shares = np.array([HotDogs(200)[i][1].mean() for i in range(200)])
    assert 0.08 < shares.mean() < 0.3
    assert 0.05 < (shares == 0).mean() < 0.3  # some scenes have none
    assert shares.max() < 0.6


def test_arrays_are_kept_and_read_only():
    scenes = HotDogs(2)
    assert scenes[0][0] is scenes[0][0]
    with pytest.raises(ValueError, match="read-only"):
        scenes[0][0][:] = 0
    fresh = HotDogs(2, cache=False)
    assert fresh[0][0] is not fresh[0][0]


def alone(pose, paint, size=(96, 128)):
    """One object on a flat ground: where the picture differs from the ground, and the mask."""
    ground = np.zeros((3, *size), dtype=np.float32)
    ground[2] = 255
    texture = np.full(size, 0.5, dtype=np.float32)
    canvas = Canvas(ground.copy(), texture, (-0.6, 0.8))
    paint(canvas, Dice(np.random.default_rng(1)), pose)
    red = canvas.image[0] > 40  # shadows only darken the blue ground
    return red, canvas.mask


@pytest.mark.parametrize("along", [(0.0, 1.0), (1.0, 0.0), (0.6, 0.8), (-0.8, 0.6)])
def test_mask_and_picture_of_a_hot_dog_cover_the_same_pixels(along):
    seen, mask = alone(Pose(48, 64, along, 60, 12, 0.08), food.hot_dog)
    assert mask.sum() > 0.7 * 60 * 2 * 12 * math.pi / 4
    assert np.mean(seen != (mask == 1)) < 0.005


@pytest.mark.parametrize("paint", [food.bare_sausage, food.bare_bun, food.burger, food.carrot])
def test_what_lies_on_a_hot_dog_hides_it_in_the_mask_too(paint):
    ground = np.zeros((3, 96, 128), dtype=np.float32)
    canvas = Canvas(ground, np.full((96, 128), 0.5, dtype=np.float32), (-0.6, 0.8))
    dice = Dice(np.random.default_rng(1))
    food.hot_dog(canvas, dice, Pose(48, 64, (0.0, 1.0), 60, 12))
    before = canvas.mask.copy()
    seen, _ = alone(Pose(48, 64, (1.0, 0.0), 60, 8), paint)
    paint(canvas, dice, Pose(48, 64, (1.0, 0.0), 60, 8))
    hidden = (before == 1) & (canvas.mask == 0)
    assert hidden.sum() > 100
    assert not (hidden & ~seen)[48:49].any()


def test_distances_are_distances_to_the_shapes():
    """Against the nearest of many points of each shape's outline or axis."""
    a, b = np.meshgrid(np.linspace(-20, 20, 41), np.linspace(-15, 15, 31))
    axis = np.linspace(-9, 9, 1801)  # passes through the a of the grid
    nearest = np.min(np.hypot(a[..., None] - axis, b[..., None]), axis=-1)
    np.testing.assert_allclose(capsule(a, b, 9, 4), nearest - 4, atol=1e-4)
    np.testing.assert_allclose(taper(a, b, 9, 4, 1.0), nearest - 4, atol=1e-4)
    inner = np.stack(np.meshgrid(np.linspace(-7, 7, 281), np.linspace(-3, 3, 121)), -1).reshape(
        -1, 2
    )
    outside = box(a, b, 9, 5, 2) > 0
    far = np.min(np.hypot(a[outside][:, None] - inner[:, 0], b[outside][:, None] - inner[:, 1]), -1)
    np.testing.assert_allclose(box(a, b, 9, 5, 2)[outside], far - 2, atol=2e-3)


def test_distance_between_objects_is_that_of_their_axes():
    rng = np.random.default_rng(0)
    t = np.linspace(-1, 1, 201)
    for _ in range(50):
        dice = Dice(rng)
        one, two = (
            Pose(dice.between(0, 96), dice.between(0, 128), dice.direction(), 60, 10)
            for _ in range(2)
        )
        points = [np.outer(t, p.along) * (p.length / 2 - p.radius) + (p.y, p.x) for p in (one, two)]
        nearest = np.min(np.linalg.norm(points[0][:, None] - points[1], axis=-1))
        assert scene.distance(one, two) == pytest.approx(nearest, abs=0.25)


def test_meat_and_bread_never_meet_outside_a_hot_dog():
    """Nobody could say whether a sausage across a bun is a hot dog."""
    for i in range(60):
        dice = Dice(np.random.default_rng([9, i]))
        placed = scene._arrange(dice, 96, 128, 1.0)
        for k, (kind, pose) in enumerate(placed):
            for other, there in placed[:k]:
                if {kind.family, other.family} == {"meat", "bread"}:
                    assert scene.distance(pose, there) >= pose.radius + there.radius + 2


def colour_bins(image):
    """16 x 16 x 16 colours, as one number per pixel."""
    r, g, b = (image[..., c].astype(np.int64) >> 4 for c in range(3))
    return (r * 16 + g) * 16 + b


def mean_iou(prediction, target):
    counts = np.bincount(target * 2 + prediction, minlength=4).reshape(2, 2)
    diagonal = np.diag(counts)
    return (diagonal / (counts.sum(0) + counts.sum(1) - diagonal)).mean()


def test_colour_alone_does_not_find_them():
    """The best rule on the colour of a pixel, fitted on 300 scenes, fails on held-out scenes.

    Share of hot dog per colour, with the threshold that is best on the training scenes.
    """
    train = HotDogs(300, cache=False)
    colours, labels = [], []
    for i in range(300):
        image, mask = train[i]
        colours.append(colour_bins(image).ravel())
        labels.append(mask.ravel().astype(np.int64))
    x, t = np.concatenate(colours), np.concatenate(labels)
    hits = np.bincount(x, weights=t, minlength=4096)
    share = hits / np.maximum(np.bincount(x, minlength=4096), 1)
    best = max(
        np.linspace(0.05, 0.6, 23), key=lambda cut: mean_iou((share[x] > cut).astype(int), t)
    )
    test = [train.held_out(60)[i] for i in range(60)]
    prediction = np.concatenate([(share[colour_bins(image)] > best).ravel() for image, _ in test])
    target = np.concatenate([mask.ravel().astype(np.int64) for _, mask in test])
    assert mean_iou(prediction.astype(int), target) < 0.6
    assert mean_iou((share[x] > best).astype(int), t) < 0.62  # and it was no matter of fitting


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: HotDogs(-1), ["count", "-1"]),
        (lambda: HotDogs(1, seed=-2), ["seed", "-2"]),
        (lambda: HotDogs(1, size=(15, 40)), ["15 x 40", "16"]),
    ],
)
def test_wrong_arguments_are_named(make, words):
    with pytest.raises(ValueError) as caught:
        make()
    for word in ["HotDogs", *words]:
        assert word in str(caught.value)


def test_an_index_outside_is_refused():
    for i in (-1, 3):
        with pytest.raises(IndexError, match=rf"{i} of 3"):
            HotDogs(3)[i]
