"""The coordinate map: published crops, and laws that know nothing of its formula.

A ramp x[h] = h goes through averages and interpolations unchanged, so every cell of the result says
itself where it lies; and the pixels whose change a cell notices are its receptive field.
"""

from fractions import Fraction
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minifcn as mf
import minifcn.functional as F
from minifcn import nn
from minifcn.models.coordinates import (
    VGG16_POOL5,
    VGG16_POOL5_2015,
    Grid,
    Layer,
    crop_offset,
)
from minifcn.models.walk import walk
from minifcn.shapes import ShapeError


def up(factor: int, padding: int = 0) -> Layer:
    return Layer(f"up{factor}", 2 * factor, factor, padding, transposed=True)


def pools(layers: Any) -> list[Grid]:
    """The grid behind every pooling."""
    grid, found = Grid(), []
    for layer in layers:
        grid = grid.follow(layer)
        if layer.name.startswith("pool"):
            found.append(grid)
    return found


def crops(layers: Any, fc6: int, padded: bool) -> dict[str, int]:
    """All offsets of FCN-32s, 16s and 8s on VGG16, fc6 padded so and upsampling or not."""
    p = pools(layers)
    score = p[4].follow(Layer("fc6", 7, padding=fc6))
    half = [f // 2 if padded else 0 for f in (2, 8, 16, 32)]
    first = score.follow(up(2, half[0]))
    second = first.follow(up(2, half[0]))
    found = {
        "32s": crop_offset(score.follow(up(32, half[3])), Grid()),
        "pool4": crop_offset(p[3], first),
        "16s": crop_offset(first.follow(up(16, half[2])), Grid()),
        "pool3": crop_offset(p[2], second),
        "8s": crop_offset(second.follow(up(8, half[1])), Grid()),
    }
    assert all(top == left for top, left in found.values())
    return {name: top for name, (top, _) in found.items()}


def test_the_crops_of_2015():
    """`offset` of the Crop layers in the authors' prototxt files, and in others' code."""
    assert crops(VGG16_POOL5_2015, 0, False) == {
        "32s": 19, "pool4": 5, "16s": 27, "pool3": 9, "8s": 31,
    }  # fmt: skip


def test_padding_each_layer_by_half_its_kernel_needs_no_crop():
    assert set(crops(VGG16_POOL5, 3, True).values()) == {0}


def test_without_the_100_pixels_there_is_nothing_to_crop_from():
    """conv1_1 pad 1 and fc6 pad 0: the score would have to begin 80 pixels earlier."""
    with pytest.raises(ShapeError, match=r"starts 80 cells after the image.*padding can"):
        score = pools(VGG16_POOL5)[4].follow(Layer("fc6", 7))
        crop_offset(score.follow(up(32)), Grid(), ("the score", "the image"))


@pytest.mark.parametrize("pad", [81, 90, 100, 117])
def test_the_crop_of_32s_is_the_first_padding_less_81(pad):
    layers = [VGG16_POOL5[0]._replace(padding=pad), *VGG16_POOL5[1:], Layer("fc6", 7), up(32)]
    assert crop_offset(Grid().follow(layers), Grid()) == (pad - 81, pad - 81)


def test_a_crop_of_half_a_cell_is_refused():
    pooled = Grid().follow([Layer("pool", 2, 2), Layer("up", 2, 2, transposed=True)])
    assert crop_offset(pooled, Grid()) == (0, 0)
    odd = Grid().follow([Layer("pool", 2, 2), Layer("up", 3, 2, transposed=True)])
    with pytest.raises(ShapeError, match=r"axis 2 \(H\) the image starts 1/2 cells after up"):
        crop_offset(odd, Grid(), ("up", "the image"))


def test_a_crop_between_different_strides_is_refused():
    with pytest.raises(ShapeError, match="a every 2 pixels|every 2 pixels, but b every 1"):
        crop_offset(Grid().follow(Layer("pool", 2, 2)), Grid(), ("a", "b"))
    with pytest.raises(ShapeError, match="one branch lies at"):
        Grid().joined(Grid().cropped((1, 0)))


def test_two_branches_together_see_what_either_sees():
    left = Grid().follow([Layer("pad", 1, padding=4), Layer("look back", 5)]).cropped((0, 0))
    ahead = Grid().follow([Layer("look around", 7, padding=3), Layer("crop", 1)])
    moved = ahead.cropped((-2, -2))
    both = left.joined(moved)
    assert (float(left.rows.low), float(left.rows.high)) == (-4, 0)
    assert (float(moved.rows.low), float(moved.rows.high)) == (-5, 1)
    assert (float(both.rows.low), float(both.rows.high)) == (-5, 1) and both.cols == both.rows
    assert left.centre == moved.centre == both.centre == (-2, -2)
    assert moved.joined(left) == both


@pytest.mark.parametrize(
    "layers, reach",
    [
        ([Layer("pool", 2, 2)], 0),  # its own two pixels
        ([Layer("conv", 3, padding=1)], 1),
        ([Layer("conv", 5)], 4),  # from i to i + 4: all of it lies ahead
        ([Layer("conv", 5, padding=4)], 4),  # from i - 4 to i: all of it lies behind
        ([Layer("conv", 3, 2)], 1),  # 2 i to 2 i + 2, of which the last is the next cell's
    ],
)
def test_the_reach_is_what_lies_beyond_the_own_pixels(layers, reach):
    assert Grid().follow(layers).reach == reach


# ---- laws ----------------------------------------------------------------------------------------

geometry = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(0, 3), st.integers(1, 3))


def response(layers: list[tuple[Layer, Any]], x: Any) -> Any:
    """The layers on an image of one row of pixels, by the engine."""
    y = mf.tensor(x.reshape(1, 1, -1, 1))
    for (_, _, s, p, d, transposed), w in layers:
        along_h: Any = {"stride": (s, 1), "padding": (p, 0), "dilation": (d, 1)}
        apply: Any = F.conv_transpose2d if transposed else F.conv2d
        y = apply(y, mf.tensor(w.reshape(1, 1, -1, 1)), **along_h)
    return y.numpy()[0, 0, :, 0]


def tent(layer: Layer) -> Any:
    """Weights around their middle: means, or, transposed, those of bilinear interpolation."""
    k = cast(int, layer.kernel)
    if not layer.transposed:
        return np.full(k, 1 / k)
    return 1 - np.abs(np.arange(k) - (k - 1) / 2) / (k / 2)


@given(st.lists(geometry, min_size=1, max_size=3), st.sampled_from([0, 2, 3, 4]))
def test_a_ramp_tells_every_cell_where_it_lies(downs, factor):
    layers = [Layer("conv", *numbers) for numbers in downs]
    if factor:
        layers.append(up(factor, factor // 2))
    grid = Grid().follow(layers)
    x, zero = np.arange(400.0), np.zeros(400)
    weighed = [(layer, tent(layer)) for layer in layers]
    y, inside = response(weighed, x), response(weighed, zero + 1)  # 1 where no padding is seen
    cells = np.flatnonzero(np.abs(inside - 1) < 1e-9)
    assert len(cells), "no cell sees the image alone"
    assert grid.step[0] * cells + grid.centre[0] == pytest.approx(y[cells], abs=1e-6)


def noticed(layers: list[Layer], step: Fraction) -> list[Fraction]:
    """pixel - S i for all cells i that notice a pixel, for pixels far from the ends."""
    ones: list[tuple[Layer, Any]] = [(layer, np.ones(cast(int, layer.kernel))) for layer in layers]
    offsets = []
    for pixel in range(60, 100):  # more than a period of every stride
        x = np.zeros(160)
        x[pixel] = 1
        offsets += [pixel - step * int(i) for i in np.flatnonzero(response(ones, x))]
    return offsets


@given(st.lists(geometry, min_size=1, max_size=3))
def test_the_receptive_field_is_what_a_cell_notices(numbers):
    layers = [Layer("conv", *one) for one in numbers]
    rows = Grid().follow(layers).rows
    offsets = noticed(layers, rows.step)
    assert min(offsets) >= rows.low and max(offsets) <= rows.high, "it sees further than promised"
    if rows.step <= 12:  # else the pixels are too few to meet both ends
        assert (min(offsets), max(offsets)) == (rows.low, rows.high), "promised more than it sees"


@given(st.lists(st.tuples(geometry, st.booleans()), min_size=1, max_size=4))
def test_no_cell_sees_further_than_promised_when_layers_are_transposed_too(numbers):
    layers = []
    for (k, s, p, d), transposed in numbers:
        most = d * (k - 1) if transposed else p  # what a transposed layer may crop
        layers.append(Layer("layer", k, s, min(p, most), d, transposed))
    rows = Grid().follow(layers).rows
    offsets = noticed(layers, rows.step) or [rows.low]  # kernel 1 at stride 2: some see nothing
    assert min(offsets) >= rows.low and max(offsets) <= rows.high


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_upsampling_sees_all_that_is_promised(factor):
    layers = [Layer("conv", 3, 1, 1), Layer("pool", factor, factor), up(factor, factor // 2)]
    rows = Grid().follow(layers).rows
    offsets = noticed(layers, rows.step)
    assert (min(offsets), max(offsets)) == (rows.low, rows.high)


def test_known_receptive_fields():
    """VGG16's pools by the published recurrence r += (k - 1) S; fc6 at 404 pixels."""
    assert [g.size[0] for g in pools(VGG16_POOL5)] == [6, 16, 44, 100, 212]
    assert pools(VGG16_POOL5_2015)[4].follow(Layer("fc6", 7)).size == (404, 404)


# ---- modules -------------------------------------------------------------------------------------


def test_modules_are_followed_as_their_descriptions():
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, stride=2, padding=(1, 2), dilation=2, activation="relu"),
        nn.BatchNorm2d(2),
        nn.Sequential(nn.MaxPool2d(3, 2, padding=1), nn.ReLU()),
        nn.ConvTranspose2d(2, 1, (4, 2), stride=2, padding=(1, 0)),
        nn.AvgPool2d(2),
    )
    assert Grid().follow(net) == Grid().follow(
        [
            Layer("conv", 3, 2, (1, 2), 2),
            Layer("max", 3, 2, 1),
            Layer("up", (4, 2), 2, (1, 0), transposed=True),
            Layer("avg", 2, 2),
        ]
    )


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("word", ["same", "same_lower"])
def test_padding_words_mean_what_they_mean_to_a_convolution(word, k):
    layer = nn.Conv2d(1, 1, k, padding=word, dilation=2)
    with mf.no_grad():
        y = F.conv2d(mf.tensor(np.eye(1, 81, 40).reshape(1, 1, 81, 1).repeat(9, 3)),
                     mf.tensor(np.ones((1, 1, k, k))), padding=word, dilation=2)  # fmt: skip
    cells = np.flatnonzero(y.numpy()[0, 0, :, 4])
    rows = Grid().follow(layer).rows
    assert (40 - cells.max(), 40 - cells.min()) == (rows.low, rows.high)


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5.0])
@pytest.mark.parametrize("how", ["nearest", "bilinear"])
def test_resizing_is_followed_as_it_is_walked(factor, how):
    layer = nn.Upsample(scale_factor=factor, mode=how)
    assert Grid().follow(layer) == walk(layer, (1, 30, 40)).grid()


class Sneaky(nn.Conv2d):
    """A convolution that also crops."""

    def forward(self, x: Any, relu: bool = False) -> Any:
        return super().forward(x, relu)[:, :, 1:]


@pytest.mark.parametrize(
    "layer",
    [
        Sneaky(1, 1, 3),
        nn.Conv2d(1, 1, 3, activation=nn.MaxPool2d(2)),
        nn.Upsample(size=(4, 4)),
        nn.Upsample(scale_factor=1.5, mode="bilinear"),
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
        nn.ModuleList(),
    ],
)
def test_a_layer_that_may_do_something_else_is_not_trusted(layer):
    with pytest.raises(TypeError, match="use models.walk"):
        Grid().follow(layer)


def test_what_cannot_be_followed_says_so():
    with pytest.raises(TypeError, match=r"AdaptiveAvgPool2d.*models\.walk"):
        Grid().follow(nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1)))
    with pytest.raises(ShapeError, match=r"Conv2d: padding is 'same' with stride \(2, 2\)"):
        Grid().follow(nn.Conv2d(1, 1, 3, 2, "same"))
