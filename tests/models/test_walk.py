"""The walk on shapes: the same shapes and coordinates as a real run, and nothing computed."""

from typing import Any

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn import nn
from minifcn.models import FCN, SmallEncoder, build
from minifcn.models.coordinates import Grid, Line
from minifcn.models.fcn_vgg import FCNVGG16
from minifcn.models.walk import walk
from minifcn.modes import mode
from minifcn.shapes import ShapeError


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def rows_of(function: Any, size: int = 48) -> Line:
    return walk(Function(function), (1, size, size + 5)).grid().rows


def heard(model: nn.Module, x: Any) -> list[tuple[str, str, tuple[int, ...]]]:
    """What a real run does: layer, operator and shape of everything computed from the image."""
    seen: list[tuple[str, str, tuple[int, ...]]] = []
    mode.trace = lambda op, inputs, y: seen.append((mode.layer, op.name, y.shape))
    try:
        with mf.no_grad():
            model.eval()(x)
    finally:
        mode.trace = None
    return seen


@pytest.mark.parametrize("size", [(33, 40), (1, 7), (64, 64)])
def test_it_sees_what_a_real_run_computes(size):
    rng = np.random.default_rng(0)
    net = FCN(SmallEncoder(width=4, depth=4, generator=rng), 3, generator=rng).eval()
    real = heard(net, mf.tensor(rng.standard_normal((2, 3, *size)).astype(np.float32)))
    steps = walk(net, (2, 3, *size)).steps
    sketched = [(step.layer, step.op.name, step.shape) for step in steps]
    assert sketched == [one for one in real if len(one[2]) == 4 or one in sketched]
    assert sketched[-1][2] == (2, 3, *size)


def test_nothing_of_the_model_changes():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.ReLU())
    net[2].eval()
    before = net.state_dict(), net.random_state(), [m.training for m in net.modules()]
    held = [id(t.data) for t in (*net.parameters(), *net.buffers())]
    walk(net, (3, 9, 9))
    assert held == [id(t.data) for t in (*net.parameters(), *net.buffers())]
    assert all((before[0][k].numpy() == t.numpy()).all() for k, t in net.state_dict().items())
    assert before[1:] == (net.random_state(), [m.training for m in net.modules()])
    assert mode.sketch is None and mode.trace is None


def test_an_error_in_the_model_leaves_it_as_it_was():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(5, 4, 3))
    held = [t.data for t in net.parameters()]
    with pytest.raises(ShapeError, match=r"axis 1 \(C/G\) of weight is 5"):
        walk(net, (3, 9, 9))
    assert all(a is t.data for a, t in zip(held, net.parameters(), strict=True))
    assert mode.sketch is None and net.training


def test_large_images_take_no_memory():
    with nn.blank():
        net = build({"name": "fcn_vgg16", "width": 4})
    walked = walk(net, (3, 30000, 40000))  # 3.6 GB, were it there
    assert walked.steps[-1].shape == (1, 21, 30000, 40000)


def test_it_finds_the_crops_of_the_model_by_itself():
    """The map of operators ends where the net's own derivation says: pixel for pixel, no offset."""
    for geometry in ("2015", "zero"):
        for skips in (0, 1, 2):
            net = FCNVGG16(classes=2, skips=skips, geometry=geometry, width=1, hidden=2)
            walked = walk(net, (3, 70, 99))
            assert walked.grid().centre == (0, 0) and walked.grid().step == (1, 1)
            assert walked.grid().reach == net.radius
            assert all(step.apart == (0, 0) for step in walked.steps)


def test_branches_that_do_not_meet_are_found():
    """A crop one cell off: the sum mixes places that lie a cell apart."""
    net = FCNVGG16(classes=2, width=1, hidden=2)
    net.crops = ((5, 6), *net.crops[1:])
    apart = [step.apart for step in walk(net, (3, 70, 99)).steps if step.kind == "add"]
    assert apart[0] == (0, 16)


def test_the_field_of_a_whole_net_is_what_its_outputs_notice():
    """Rows are changed one by one; with positive weights every change is felt."""
    net = FCNVGG16(classes=1, skips=2, geometry="zero", width=1, hidden=1).eval().double()
    with mf.no_grad():
        for name, parameter in net.named_parameters():
            if not name.startswith("up"):
                parameter.copy_(np.full(parameter.shape, 1.0 if name.endswith("weight") else 0.0))
    rows = walk(net, (3, 832, 1)).grid().rows
    base = np.ones((1, 3, 832, 1))

    def run(x: Any) -> Any:
        with mf.no_grad():
            return net(mf.tensor(x)).numpy()[0, 0, :, 0]

    before, offsets = run(base), []
    for row in range(400, 432):  # one period of the coarsest stride
        x = base.copy()
        x[:, :, row] *= 2
        changed = np.flatnonzero(np.abs(run(x) / before - 1) > 1e-13)
        offsets += [row - changed.max(), row - changed.min()]
    assert (min(offsets), max(offsets)) == (rows.low, rows.high)


# ---- single operators, by ramps: a cell of a ramp's average says where it lies -------------------

OPERATORS = [
    ("half-pixel bilinear", lambda x: F.interpolate(x, scale_factor=3.0, mode="bilinear")),
    ("shrinking bilinear", lambda x: F.interpolate(x, scale_factor=0.5, mode="bilinear")),
    ("aligned corners", lambda x: F.interpolate(x, (95, 95), mode="bilinear", align_corners=True)),
    ("odd ratio", lambda x: F.interpolate(x, (64, 60), mode="bilinear")),
    ("crop", lambda x: x[:, :, 5:, ::2]),
    ("every third", lambda x: x[:, :, 2::3]),
    ("zeros around", lambda x: F.pad(x, (1, 1, 2, 0))),
    ("reflected", lambda x: F.pad(x, (1, 1, 2, 3), mode="reflect")),
    ("bins", lambda x: F.adaptive_avg_pool2d(x, (12, 4))),
    ("global", lambda x: F.global_avg_pool2d(x)),
    ("mean pool", lambda x: F.avg_pool2d(x, 3, 2)),
    ("joined", lambda x: mf.cat([F.avg_pool2d(x, 2), F.avg_pool2d(F.relu(x), 2)], 1)),
    ("sum", lambda x: F.avg_pool2d(x, 3, 1, 1) + x * 2.0),
]


@pytest.mark.parametrize("function", [f for _, f in OPERATORS], ids=[n for n, _ in OPERATORS])
def test_a_ramp_tells_where_the_cells_of_an_operator_lie(function):
    size = 48
    line = rows_of(function, size)
    ramp = np.broadcast_to(np.arange(1.0, size + 1)[:, None], (size, size + 5))  # no zero inside
    with mf.no_grad():
        y = function(mf.tensor(ramp[None, None].copy())).numpy()[0, 0]
        unit = function(mf.tensor(np.ones((1, 1, size, size + 5)))).numpy()[0, 0]
    middle, cells = y.shape[1] // 2, np.arange(len(y))
    inner = (float(line.step) * cells + float(line.low) >= 0) & (
        float(line.step) * cells + float(line.high) <= size - 1
    )
    assert inner.any()
    expected = float(line.step) * cells + float(line.centre) + 1
    assert y[inner, middle] / unit[inner, middle] == pytest.approx(expected[inner], abs=1e-9)


@pytest.mark.parametrize("scale", [2.0, 3.0, 0.5])
@pytest.mark.parametrize("how", ["nearest", "nearest-exact"])
def test_on_the_average_nearest_lies_where_it_says(how, scale):
    def function(x: Any) -> Any:
        return F.interpolate(x, scale_factor=scale, mode=how)

    line = rows_of(function)
    ramp = np.broadcast_to(np.arange(48.0)[:, None], (48, 53))
    y = function(mf.tensor(ramp[None, None].copy())).numpy()[0, 0, :, 0]
    apart = y - float(line.step) * np.arange(len(y))
    assert apart.mean() == pytest.approx(float(line.centre))
    assert (apart.min(), apart.max()) == pytest.approx((float(line.low), float(line.high)))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.permute(0, 1, 3, 2),
        lambda x: x.reshape(1, 1, -1),
        lambda x: x @ x.permute(0, 1, 3, 2),
    ],
)
def test_what_is_no_image_any_more_lies_nowhere(function):
    walked = walk(Function(function), (1, 6, 9))
    assert walked.steps[-1].grid is None
    with pytest.raises(ShapeError, match="output -1 is no image"):
        walked.grid()


def test_several_outputs_have_a_grid_each():
    walked = walk(SmallEncoder(width=2, depth=3), (3, 17, 20))
    assert [walked.grid(k).step for k in range(3)] == [(1, 1), (2, 2), (4, 4)]


def test_a_network_that_does_nothing_is_the_image_itself():
    walked = walk(nn.Identity(), (3, 5, 6))
    assert walked.grid() == Grid()


def test_a_dict_of_outputs_is_a_list_of_them():
    walked = walk(Function(lambda x: {"out": x[:, :, 1:], "aux": F.avg_pool2d(x, 2)}), (1, 6, 9))
    assert walked.grid(0).centre == (1, 0) and walked.grid(1).step == (2, 2)


def test_an_output_that_has_nothing_of_the_image_is_refused():
    with pytest.raises(ShapeError, match="output 0 of the model does not depend on its image"):
        walk(Function(lambda x: mf.ones(3)), (1, 6, 9))


@pytest.mark.parametrize("image", [(3, 5), (1, 3, 5, 5, 5), (3, 0, 5)])
def test_other_shapes_are_refused(image):
    with pytest.raises(ShapeError, match="walk: "):
        walk(nn.Identity(), image)


def test_a_model_on_a_gpu_is_walked_too(device):
    net = FCN(SmallEncoder(width=2, depth=2), 2).to(device)
    assert walk(net, (3, 9, 11)).steps[-1].shape == (1, 2, 9, 11)
    assert next(net.parameters()).device == device
