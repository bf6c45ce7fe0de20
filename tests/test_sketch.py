"""The sketch: operators that promise and do not compute; what they promise is what they make."""

import gc
import threading
from typing import Any

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn import nn
from minifcn.checks import Case, cases
from minifcn.modes import mode
from minifcn.sketch import Meter, emptied, sketching, stand_in

STATISTICS = ("top", "total")  # of cross entropy: one per pixel, where y is a scalar


@pytest.mark.parametrize("case", cases(), ids=str)
def test_what_is_promised_is_what_is_made(case: Case) -> None:
    """Every operator of the registry, sketched and run: shapes and dtypes, of extras too."""
    real = [mf.Tensor(a) for a in case.arrays(dtype=np.float32)]
    if real[0].device != "cpu" or case.op.name == "move":
        pytest.skip("goes to another device")
    made: list[Any] = []
    with sketching(lambda op, inputs, y: made.append(y)):
        extras = mode.sketch(case.op, [x.data for x in real], _promised(case, real))  # type: ignore[misc] # on
        y = case.op(*real)
    z = case.op(*real)
    assert (y.shape, y.dtype) == (z.shape, z.dtype)
    assert made[0] is y.data
    given = extras[1:] if type(extras) is tuple else ()
    with mf.enable_grad():
        out = case.op.forward(_kernels(), *[x.data for x in real])
    expected = out[1:] if type(out) is tuple else ()
    for name, a, b in zip(case.op.extras, given, expected, strict=True):
        if name not in STATISTICS:
            assert (a.shape, a.dtype) == (b.shape, b.dtype), name


def _promised(case: Case, tensors: list[Any]) -> Any:
    return case.op.shape(*[x.shape for x in tensors])


def _kernels() -> Any:
    from minifcn.kernels import numpy_kernels

    return numpy_kernels


def test_a_stand_in_takes_no_memory():
    assert stand_in((1000, 1000, 1000, 1000)).shape == (1000,) * 4
    assert stand_in((), np.int64).dtype == np.int64 and stand_in((0, 3)).size == 0


@pytest.mark.parametrize("side", [1 << 31, 10**30])
def test_what_no_array_can_be_is_refused(side):
    with pytest.raises(mf.ShapeError, match="is larger than any can be"):
        stand_in((3, side, side), np.float64)
    assert stand_in((1 << 29, 1 << 29), np.float64).nbytes == 8 << 58


def test_a_gradient_can_be_sketched():
    x = mf.Tensor(stand_in((2, 3, 4000, 3000)), requires_grad=True)
    w = mf.tensor(np.ones((5, 3, 3, 3), np.float32), requires_grad=True)
    with sketching():
        loss = F.cross_entropy(F.max_pool2d(F.conv2d(x, w), 2), np.zeros((2, 1999, 1499), np.int64))
        gx, gw = mf.grad(loss, [x, w])
    assert gx.shape == x.shape and gw.shape == w.shape


def test_statistics_of_a_batch_are_not_computed():
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    x = mf.Tensor(stand_in((1, 1, 100_000, 100_000)))
    with emptied(net, training=True), sketching():
        y = net(x)
        gradients = mf.grad(y, list(net.parameters()), mf.Tensor(stand_in(y.shape)))
    assert [g.shape for g in gradients] == [p.shape for p in net.parameters()]


def test_it_ends_with_the_block_and_stays_in_its_thread():
    heard: list[float] = []
    with sketching():
        other = threading.Thread(target=lambda: heard.append((mf.ones(3) + 1.0).sum().item()))
        other.start()
        other.join()
        with sketching():
            pass
        assert (mf.ones(3) + 1.0).sum().item() == 0, "still sketching behind an inner block"
    assert heard == [6.0] and (mf.ones(3) + 1.0).sum().item() == 6.0


def test_an_error_ends_it_too():
    with pytest.raises(mf.ShapeError), sketching():
        F.conv2d(mf.ones(1, 2, 3, 3), mf.ones(1, 3, 3, 3))
    assert mode.sketch is None


def test_a_meter_counts_what_is_alive():
    meter = Meter()
    with sketching(meter=meter):
        a = mf.relu(mf.Tensor(stand_in((10, 10))))
        b = mf.relu(a)
        assert meter.now == 2 * 400
        view = b[:3]
        del a, b
        gc.collect()
        assert meter.now == 400, "what a view sees stays"
        del view
    assert meter.now == 0 and meter.peak == 800


def test_what_training_changes_stays():
    """Running statistics, dropout's stream and the modes, also where the sketch trains."""
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).eval()
    state, streams = net.state_dict(), net.random_state()
    with emptied(net, training=True), sketching():
        assert net.training and net[2].training
        net(mf.Tensor(stand_in((4, 1, 9, 9))))
    assert not net.training and not net[2].training
    assert streams == net.random_state()
    assert all((state[k].numpy() == t.numpy()).all() for k, t in net.state_dict().items())
