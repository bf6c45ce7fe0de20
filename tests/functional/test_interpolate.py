"""interpolate: laws that every way of resizing keeps, and the rules that tell them apart."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minifcn as mf
import minifcn.functional as F
from minifcn.kernels import numpy_kernels, reference
from minifcn.shapes import ShapeError

MODES = ["nearest", "nearest-exact", "bilinear"]
sizes = st.integers(1, 12)


def image(shape=(2, 3, 4, 5), seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def row(*values):
    return np.array(values, float).reshape(1, 1, 1, -1)


def along_w(x, out, **options):
    """x's rows resized to `out` pixels; the height stays."""
    return F.interpolate(x, size=(x.shape[2], out), **options).numpy()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(4, 5), (8, 3), (1, 1), (9, 20)])
def test_equal_pixels_stay_equal(mode, size):
    y = F.interpolate(np.full((1, 2, 4, 5), 3.0), size, mode=mode)
    np.testing.assert_allclose(y.numpy(), 3.0, rtol=1e-15)


@pytest.mark.parametrize("mode", MODES)
def test_the_same_size_is_the_same_picture(mode):
    np.testing.assert_array_equal(F.interpolate(image(), (4, 5), mode=mode).numpy(), image())


@pytest.mark.parametrize("mode", ["nearest-exact", "bilinear"])
@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("size", [(8, 7), (16, 3), (4, 11), (8, 10)])  # no place is a tie
def test_mirroring_may_go_first_or_last(mode, corners, size):
    options: dict[str, Any] = {"align_corners": True} if corners and mode == "bilinear" else {}
    mirrored = F.interpolate(image()[..., ::-1, ::-1], size, mode=mode, **options).numpy()
    plain = F.interpolate(image(), size, mode=mode, **options).numpy()
    np.testing.assert_allclose(mirrored[..., ::-1, ::-1], plain, atol=1e-14)


@pytest.mark.parametrize("size", [(7, 9), (2, 3), (4, 11)])
def test_a_slope_stays_the_slope_between_its_corners(size):
    slope = np.linspace(-1, 2, 4)[:, None] + np.linspace(0, 5, 5)
    y = F.interpolate(slope[None, None], size, mode="bilinear", align_corners=True).numpy()
    expected = np.linspace(-1, 2, size[0])[:, None] + np.linspace(0, 5, size[1])
    np.testing.assert_allclose(y[0, 0], expected, atol=1e-14)


@given(sizes, sizes, st.booleans())
def test_bilinear_is_numpys_linear_interpolation_at_the_right_places(size, out, corners):
    x = image((1, 1, 1, size))
    i = np.arange(out)
    if corners:
        z = i * (size - 1) / max(out - 1, 1)
    else:
        z = (i + 0.5) * size / out - 0.5
    expected = np.interp(z, np.arange(size), x.ravel())  # beyond the ends, the end
    y = along_w(x, out, mode="bilinear", align_corners=corners)
    np.testing.assert_allclose(y.ravel(), expected, atol=1e-12)


@given(sizes, sizes, st.sampled_from(["nearest", "nearest-exact"]))
def test_nearest_pixels_are_chosen_in_single_precision(size, out, mode):
    x = np.arange(size, dtype=float).reshape(1, 1, 1, size)
    scale = np.float32(size) / np.float32(out)
    half = np.float32(0.5 if mode == "nearest-exact" else 0)
    i = np.arange(out, dtype=np.float32)
    if mode == "nearest" and out == 2 * size:
        expected = np.arange(out) // 2
    else:
        expected = np.minimum(np.floor((i + half) * scale), size - 1)
    np.testing.assert_array_equal(along_w(x, out, mode=mode).ravel(), expected)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_whole_factors_repeat_pixels(mode):
    y = F.interpolate(image(), scale_factor=(2, 3), mode=mode).numpy()
    np.testing.assert_array_equal(y, image().repeat(2, 2).repeat(3, 3))


def test_halving_takes_the_first_pixel_the_second_or_their_mean():
    x = row(1, 5, 2, 8)
    assert along_w(x, 2, mode="nearest").tolist() == row(1, 2).tolist()
    assert along_w(x, 2, mode="nearest-exact").tolist() == row(5, 8).tolist()
    assert along_w(x, 2, mode="bilinear").tolist() == row(3, 5).tolist()


def test_doubling_by_hand():
    x = row(0, 4, 8)
    assert along_w(x, 6, mode="bilinear").tolist() == row(0, 1, 3, 5, 7, 8).tolist()
    y = along_w(x, 5, mode="bilinear", align_corners=True)
    assert y.tolist() == row(0, 2, 4, 6, 8).tolist()


def test_a_factor_places_the_pixels_itself_unless_recomputed():
    x, factor = row(0, 1, 2, 3), 1.4  # 5.6 pixels, of which 5 are made
    given_, recomputed = (
        F.interpolate(
            x, scale_factor=(1, factor), mode="bilinear", recompute_scale_factor=again
        ).numpy()
        for again in (None, True)
    )
    places = np.clip((np.arange(5) + 0.5) / factor - 0.5, 0, 3)
    np.testing.assert_allclose(given_.ravel(), places, rtol=1e-14)
    np.testing.assert_allclose(recomputed, along_w(x, 5, mode="bilinear"), rtol=1e-14)


def test_sizes_round_down():
    assert F.interpolate(image((1, 1, 5, 7)), scale_factor=(0.5, 1.5)).shape == (1, 1, 2, 10)
    assert F.interpolate(image(), 6).shape == (2, 3, 6, 6)


@given(sizes, sizes, st.sampled_from(MODES), st.integers(0, 1))
def test_pixels_give_back_what_they_were_read(size, out, mode, axis):
    """<A x, g> = <x, A* g>, and every output's weights add up to 1."""
    shape = (1, 1, 2, size) if axis else (1, 1, size, 2)
    goal = (2, out) if axis else (out, 2)
    x = mf.tensor(image(shape), requires_grad=True)
    y = F.interpolate(x, goal, mode=mode)
    g = image(y.shape, seed=1)
    (back,) = mf.grad(y, x, mf.tensor(g))
    assert np.vdot(y.numpy(), g) == pytest.approx(np.vdot(x.numpy(), back.numpy()), abs=1e-12)
    assert back.numpy().sum() == pytest.approx(g.sum(), abs=1e-12)


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.lists(st.lists(st.tuples(st.integers(0, 4), st.floats(-2, 2)), max_size=3), max_size=8),
    st.lists(st.lists(st.tuples(st.integers(0, 4), st.floats(-2, 2)), max_size=3), max_size=8),
)
def test_any_taps_equal_the_loops(N, C, rows, cols):
    """Empty maps, pixels read twice or backwards, outputs that read nothing."""
    x = image((N, C, 5, 5))
    taps = tuple(map(tuple, rows)), tuple(map(tuple, cols))
    got, expected = numpy_kernels.resample(x, *taps), reference.resample(x, *taps)
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_labels_keep_their_type_in_the_nearest_modes():
    labels = np.array([[[[3, 250], [7, 0]]]], np.uint8)
    y = F.interpolate(labels, scale_factor=2)
    assert y.dtype == np.uint8
    np.testing.assert_array_equal(y.numpy(), labels.repeat(2, 2).repeat(2, 3))


def test_a_nan_spreads_to_the_pixels_that_read_it():
    y = along_w(row(0, np.nan, 0, 0), 8, mode="bilinear").ravel()
    assert np.isnan(y).tolist() == [i in (0, 1, 2, 3, 4) for i in range(8)]


# ---- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        ({}, ["size is None", "scale_factor is None", "exactly one"]),
        ({"size": 2, "scale_factor": 2}, ["size is 2", "scale_factor is 2", "exactly one"]),
        ({"size": 2, "mode": "cubic"}, ["mode", "'cubic'", "nearest", "bilinear"]),
        ({"size": 2, "align_corners": True}, ["align_corners", "True", "'nearest'", "bilinear"]),
        ({"size": 2, "recompute_scale_factor": True}, ["recompute_scale_factor", "scale_factor"]),
        ({"size": (2, 0)}, ["size along axis 3 (W)", "0", "at least 1"]),
        ({"size": (2, 3, 4)}, ["size", "(2, 3, 4)", "(height, width)"]),
        ({"scale_factor": 0.1}, ["axis 2 (H) of x", "4", "0", "at least 1"]),
        ({"scale_factor": (1, -2)}, ["scale_factor along axis 3 (W)", "-2", "above 0"]),
        ({"scale_factor": math.inf}, ["scale_factor along axis 2 (H)", "inf"]),
        ({"scale_factor": "2"}, ["scale_factor along axis 2 (H)", "'2'", "number"]),
        ({"scale_factor": (1, 2, 3)}, ["scale_factor", "(1, 2, 3)", "(height, width)"]),
    ],
)
def test_what_cannot_be_resized_is_explained(arguments, facts):
    with pytest.raises(ValueError) as error:
        F.interpolate(image(), **arguments)
    for fact in ["interpolate", *facts]:
        assert fact in str(error.value)


def test_pictures_need_four_axes_with_pixels():
    with pytest.raises(ShapeError, match="interpolate: x has 3 axes"):
        F.interpolate(image()[0], 2)
    with pytest.raises(ShapeError) as error:
        F.interpolate(image()[:, :, :0], 2)
    for fact in ("interpolate", "axis 2 (H) of x is 0", "at least 1"):
        assert fact in str(error.value)


def test_bilinear_refuses_labels():
    with pytest.raises(TypeError, match="interpolate: dtype of x is int64, expected a floating"):
        F.interpolate(np.ones((1, 1, 2, 2), np.int64), 4, mode="bilinear")
