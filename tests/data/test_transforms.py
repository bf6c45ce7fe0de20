"""Joint transforms: a label stays a label, image and label stay together, inputs stay as they were.

The image used here says in its colours which label each pixel has and where it came from, so that
any slip between the two shows.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifcn.data import ColourJitter, Compose, RandomCrop, RandomFlip, RandomScale, Resize
from minifcn.shapes import ShapeError

VOID = 250
SIDES = st.integers(1, 24)
SEEDS = st.integers(0, 2**32 - 1)
GEOMETRIC = st.one_of(
    st.builds(RandomFlip, st.floats(0, 1), st.floats(0, 1)),
    st.builds(RandomCrop, st.tuples(SIDES, SIDES), st.just(VOID)),
)
RESAMPLING = st.one_of(
    st.builds(RandomScale, st.floats(0.3, 1), st.floats(1, 3)),
    st.builds(Resize, st.tuples(SIDES, SIDES)),
)
COLOUR = st.builds(ColourJitter, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))


def pair(seed, H, W):
    """Random labels among 5 values, and an image of (label, row, column)."""
    label = np.random.default_rng(seed).choice(
        np.array([0, 3, 7, 11, 200], dtype=np.uint8), size=(H, W)
    )
    rows, columns = np.meshgrid(np.arange(H), np.arange(W), indexing="ij")
    return np.stack([label, rows, columns], axis=-1).astype(np.uint8), label


@given(SEEDS, SIDES, SIDES, st.one_of(GEOMETRIC, RESAMPLING, COLOUR))
def test_labels_get_no_new_value_and_shapes_agree(seed, H, W, transform):
    image, label = pair(seed, H, W)
    new_image, new_label = transform(np.random.default_rng(seed), image, label)
    assert set(np.unique(new_label)) <= set(np.unique(label)) | {VOID}
    assert new_image.shape == (*new_label.shape, 3)
    assert new_image.dtype == new_label.dtype == np.uint8


@given(SEEDS, SIDES, SIDES, st.lists(GEOMETRIC, max_size=4))
def test_every_pixel_keeps_its_label_under_flips_and_crops(seed, H, W, transforms):
    """Also: a pixel keeps its colour, and padding is void."""
    image, label = pair(seed, H, W)
    steps = Compose(tuple(transforms))
    new_image, new_label = steps(np.random.default_rng(seed), image, label)
    inside = new_label != VOID
    said, rows, columns = (new_image[inside][:, c] for c in range(3))
    np.testing.assert_array_equal(said, new_label[inside])
    np.testing.assert_array_equal(label[rows, columns], new_label[inside])


@given(SEEDS, SIDES, SIDES, st.one_of(GEOMETRIC, RESAMPLING, COLOUR))
def test_the_generator_alone_decides_and_inputs_are_untouched(seed, H, W, transform):
    image, label = pair(seed, H, W)
    image.flags.writeable = label.flags.writeable = False
    first = transform(np.random.default_rng(seed), image, label)
    again = transform(np.random.default_rng(seed), image, label)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    np.testing.assert_array_equal(image, pair(seed, H, W)[0])


@given(SEEDS, st.sampled_from([RandomScale(0.5, 2.0), Resize((40, 31)), Resize((11, 17))]))
def test_image_and_label_stay_aligned_when_resampled(seed, transform):
    """A smooth ramp: the label is the row, the image shows the row, in the same coordinates."""
    H, W = 32, 24
    rows = np.repeat(np.arange(H, dtype=np.uint8)[:, None] * 4, W, axis=1)
    image = np.repeat(rows[..., None], 3, axis=2)
    new_image, new_label = transform(np.random.default_rng(seed), image, rows)
    step = 4 * H / len(new_label)
    # nearest is at most half a source row off, antialiasing bends the ramp at its two ends
    assert np.abs(new_image[2:-2, :, 0].astype(int) - new_label[2:-2]).max() <= max(step, 4) / 2 + 1


def test_flip_happens_as_often_as_asked():
    image, label = pair(0, 4, 5)
    rng = np.random.default_rng(3)
    transform = RandomFlip(p=0.3, vertical=0.6)
    seen = [transform(rng, image, label)[1] for _ in range(2000)]
    sideways = sum(
        bool((out[[0, -1]] == label[[0, -1], ::-1]).all() or (out == label[::-1, ::-1]).all())
        for out in seen
    )
    upside_down = sum(
        bool((out == label[::-1]).all() or (out == label[::-1, ::-1]).all()) for out in seen
    )
    assert abs(sideways / 2000 - 0.3) < 0.05  # five standard deviations
    assert abs(upside_down / 2000 - 0.6) < 0.055


def test_crop_reaches_every_place_and_pads_with_the_mean():
    image, label = pair(1, 5, 6)
    rng = np.random.default_rng(0)
    corners = {tuple(RandomCrop((3, 4))(rng, image, label)[0][0, 0, 1:]) for _ in range(300)}
    assert corners == {(i, j) for i in range(3) for j in range(3)}
    padded, void = RandomCrop((7, 6), void=VOID)(rng, image, label)
    ground = padded[void == VOID]
    assert len(ground) == 2 * 6
    assert np.abs(ground - image.reshape(-1, 3).mean(axis=0)).max() <= 0.5


def test_padding_without_void_is_refused():
    image, label = pair(0, 4, 9)
    with pytest.raises(ShapeError) as caught:
        RandomCrop((6, 6))(np.random.default_rng(0), image, label)
    for word in ("RandomCrop", "4 x 9", "6 x 6", "void"):
        assert word in str(caught.value)


def test_jitter_changes_what_it_names():
    rng = np.random.default_rng(0)
    image = rng.integers(60, 120, (9, 9, 3), dtype=np.uint8)
    label = np.zeros((9, 9), dtype=np.uint8)
    same, _ = ColourJitter()(rng, image, label)
    np.testing.assert_array_equal(same, image)

    brighter, _ = ColourJitter(brightness=0.5)(rng, image, label)
    factor = brighter.sum() / image.sum()
    assert abs(factor - 1) > 0.01
    assert np.abs(brighter - image * factor).max() <= 1  # one factor for all, up to rounding

    flat, _ = ColourJitter(contrast=1.0)(np.random.default_rng(5), image, label)
    scale = flat.std() / image.std()
    assert np.abs((flat - flat.mean()) - (image - image.mean()) * scale).max() <= 2

    luma = np.array([0.299, 0.587, 0.114])
    dull, _ = ColourJitter(saturation=1.0)(np.random.default_rng(2), image, label)
    assert np.abs(dull @ luma - image @ luma).max() <= 1  # the grey of each pixel stays
    assert (
        abs((dull - (dull @ luma)[..., None]).std() / (image - (image @ luma)[..., None]).std() - 1)
        > 0.01
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RandomFlip(1.5), ["RandomFlip", "p", "1.5", "0 to 1"]),
        (lambda: RandomFlip(vertical=-1), ["RandomFlip", "vertical", "-1"]),
        (lambda: RandomCrop((0, 4)), ["RandomCrop", "size[0] (H) is 0", "at least 1"]),
        (lambda: RandomCrop((4, 4), void=300), ["RandomCrop", "void", "300"]),
        (lambda: RandomScale(2, 1), ["RandomScale", "low", "2", "1"]),
        (lambda: RandomScale(0, 1), ["RandomScale", "low", "0"]),
        (lambda: ColourJitter(contrast=2), ["ColourJitter", "contrast", "2"]),
        (lambda: Resize((3, -1)), ["Resize", "size[1] (W) is -1", "at least 1"]),
    ],
)
def test_wrong_arguments_are_named(make, words):
    with pytest.raises(ValueError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "transform",
    [RandomFlip(), RandomCrop((2, 2)), RandomScale(1, 1), ColourJitter(), Resize((2, 2))],
    ids=lambda t: type(t).__name__,
)
def test_label_of_another_size_and_float_images_are_refused(transform):
    rng = np.random.default_rng(0)
    image, label = pair(0, 4, 5)
    with pytest.raises(ShapeError, match=rf"{type(transform).__name__}.*\(4, 4\).*\(4, 5\)"):
        transform(rng, image, label[:, :4])
    with pytest.raises(ShapeError, match=r"float64.*uint8 H W 3"):
        transform(rng, image.astype(float), label)
