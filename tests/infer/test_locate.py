"""Locate: the map lies right on photos of any size, tiles see what the whole sees."""

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn import nn
from minifcn.data import Normalize
from minifcn.infer import Locator
from minifcn.infer.locate import fitted
from minifcn.models.coordinates import Grid, Layer
from minifcn.models.squeezenet import SqueezeNet

LAYERS = [Layer("conv", 5, 4), Layer("pool", 3, 2, 1)]  # step 8, centre not in the cell's middle


class Bright(nn.Module):
    """A classifier of two classes, dark and bright, with a class map: no weights to learn."""

    def __init__(self):
        self.grid = Grid().follow(LAYERS)
        self.anchor = nn.Parameter(np.zeros(1, np.float32))  # says on which device it is

    def class_map(self, x):
        y = F.avg_pool2d(x, 5, 4)
        y = F.avg_pool2d(y, 3, 2, 1, count_include_pad=False)
        light = F.mean(y, axis=1, keepdims=True)
        return F.cat([light * 0, light * 30 - 1], 1)


AS_IT_IS = Normalize((0.0,) * 3, (1.0,) * 3)
NAMES = ("dark", "bright")


def lamp(size, place, radius):
    """A bright disc on black."""
    i, j = np.ogrid[: size[0], : size[1]]
    inside = (i - place[0]) ** 2 + (j - place[1]) ** 2 <= radius**2
    return np.repeat(inside[..., None], 3, axis=2).astype(np.uint8) * 255


@pytest.mark.parametrize("side", [None, 96, 240])
@pytest.mark.parametrize(
    "size, place", [((200, 300), (60, 210)), ((311, 187), (250, 40)), ((640, 640), (100, 500))]
)
def test_the_peak_and_the_box_lie_where_the_thing_is(size, place, side):
    radius = min(size) // 10
    photo = lamp(size, place, radius)
    seen = Locator(Bright(), NAMES, AS_IT_IS, side=side, window=1)(photo, [1])
    (spot,) = seen.spots
    cell = 8 * size[0] / fitted(size, side)[0]  # a step of the map, in pixels of the photo
    x, y = spot.peak
    assert np.hypot(y - place[0], x - place[1]) <= radius + cell
    assert spot.heat.shape == size and spot.label == "bright" and spot.category == 1
    (region,) = spot.regions
    left, top, width, height = region.box
    middle = (top + (height - 1) / 2, left + (width - 1) / 2)
    np.testing.assert_allclose(middle, place, atol=0.3 * cell + 1)
    assert abs(width - 2 * radius) <= 3 * cell and abs(height - 2 * radius) <= 3 * cell
    assert region.score == spot.heat.max() and region.category == 1


def test_two_things_are_two_regions_and_specks_are_none():
    photo = lamp((240, 320), (60, 60), 25) | lamp((240, 320), (170, 240), 30)
    photo[120, 160] = 255
    found = Locator(Bright(), NAMES, AS_IT_IS, side=None, window=1)(photo, [1]).spots[0]
    assert len(found.regions) == 2
    large = Locator(Bright(), NAMES, AS_IT_IS, side=None, window=1, minimum_share=0.5)
    assert large(photo, [1]).spots[0].regions == []
    both = large(photo, [1, 0])
    assert [spot.label for spot in both.spots] == ["bright", "dark"]
    np.testing.assert_allclose(both.spots[0].heat + both.spots[1].heat, 1, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 2), (16, 17), (33, 40), (2, 30000)])
def test_any_size_goes(size):
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    locator = Locator(Bright(), NAMES, AS_IT_IS, side=64)
    seen = locator(photo, [0, 1])
    assert max(locator.view(photo).shape) <= 16 * 64
    for spot in seen.spots:
        assert spot.heat.shape == size and 0 <= spot.heat.min() <= spot.heat.max() <= 1
        assert 0 <= spot.peak[0] < size[1] and 0 <= spot.peak[1] < size[0]
    assert seen.likely.sum() == pytest.approx(1)


def squeezenet(classes=5):
    """Random weights, with the biases of its last layer such that every class is seen somewhere."""
    net = SqueezeNet(classes, generator=np.random.default_rng(0))
    last = net.classifier[1]
    last.weight.data[...] = np.random.default_rng(1).standard_normal(last.weight.shape) * 0.3
    return net.eval()


@pytest.mark.parametrize("size", [(400, 433), (337, 641)])
def test_tiles_see_what_the_whole_sees(size):
    photo = np.random.default_rng(2).integers(0, 256, (*size, 3), dtype=np.uint8)
    whole = Locator(squeezenet(), "abcde", Normalize())
    limit = int(whole.bytes_per_pixel * 336 * 336)
    tiled = Locator(squeezenet(), "abcde", Normalize(), memory_limit=limit)
    sizes = []
    forward = tiled._forward

    def watched(x):
        sizes.append(x.shape[2:])
        return forward(x)

    object.__setattr__(tiled, "_forward", watched)
    a, b = whole.class_map(photo), tiled.class_map(photo)
    assert len(sizes) > 2 and max(h * w for h, w in sizes) <= 336 * 336
    assert a.shape == b.shape and a.std() > 0.01
    np.testing.assert_allclose(b, a, atol=1e-4 * a.max())


def test_squeezenets_cells_lie_where_its_grid_says():
    """Of which pixels is a cell's derivative not zero? The oracle is the engine's own backward."""
    net = SqueezeNet(2, generator=np.random.default_rng(0)).eval()
    for parameter in net.parameters():
        parameter.data[...] = np.abs(parameter.data) + 1e-3  # no ReLU is shut
    rng = np.random.default_rng(1)
    x = mf.tensor(rng.random((1, 3, 400, 352)).astype(np.float32), requires_grad=True)
    i, j = 11, 9
    with mf.conv_algorithm("im2col"):  # faster ones round, and leave crumbs beside what is seen
        net.class_map(x)[0, 0, i, j].backward()
    assert x.grad is not None
    rows, columns = np.nonzero(np.abs(x.grad.numpy()[0]).sum(axis=0))
    for cell, seen, line in ((i, rows, net.grid.rows), (j, columns, net.grid.cols)):
        low, high = (int(line.step * cell + edge) for edge in (line.low, line.high))
        assert low <= seen.min() and seen.max() <= high
        assert seen.min() - low <= 24 and high - seen.max() <= 24  # a max pool picks one of three
        assert abs((seen.min() + seen.max()) / 2 - (16 * cell + 15)) <= 12


def test_cuda_sees_the_same(cuda):
    photo = np.random.default_rng(2).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    here, there = (Locator(squeezenet().to(d), "abcde", Normalize()) for d in ("cpu", "cuda"))
    a, b = here.class_map(photo), there.class_map(photo)
    assert isinstance(b, np.ndarray)
    np.testing.assert_allclose(b, a, atol=1e-4 * a.max())


@pytest.mark.parametrize(
    "change, error, words",
    [
        ({"model": nn.ReLU()}, TypeError, "ReLU without class_map and grid"),
        ({"side": 0}, ValueError, "side is 0"),
        ({"threshold": 1.5}, ValueError, "threshold is 1.5, expected 0..1"),
        ({"minimum_share": -1}, ValueError, "minimum_share is -1"),
        ({"window": 2}, ValueError, "window is 2, expected an odd"),
        ({"categories": [2]}, ValueError, r"category is 2, expected 0..1"),
        ({"photo": np.zeros((4, 4), np.uint8)}, ValueError, r"shape \(4, 4\), expected uint8 H W"),
        ({"photo": np.zeros((4, 4, 3))}, ValueError, "float64"),
    ],
)
def test_mistakes_of_locate_are_named(change, error, words):
    photo = change.pop("photo", np.zeros((4, 4, 3), np.uint8))
    categories = change.pop("categories", [0])
    with pytest.raises(error, match=words):
        Locator(**{"model": Bright(), "names": NAMES, "normalize": AS_IT_IS, **change})(
            photo, categories
        )
