"""Two devices in one call: refused, in the words of the function that was called."""

from typing import Any

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn.core import Op, as_tensor


def values(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


MIXED = {
    "add: b is on 'cpu', but a is on 'cuda'": lambda x, y: x + y,
    "matmul: b is on 'cuda', but a is on 'cpu'": lambda x, y: y @ x,
    "matmul: b is on 'cpu', but a is on 'cuda'": lambda x, y: F.matmul(x, y),
    "lt: b is on 'cpu', but a is on 'cuda'": lambda x, y: x < y,
    "maximum: b is on 'cpu', but a is on 'cuda'": lambda x, y: F.maximum(x, y),
    "where: b is on 'cpu', but mask is on 'cuda'": lambda x, y: F.where(x > 0, x, y),
    "where: a is on 'cuda', but mask is on 'cpu'": lambda x, y: F.where(y > 0, x, x),
    "cat: tensor 1 is on 'cpu', but tensor 0 is on 'cuda'": lambda x, y: F.cat([x, y]),
    "stack: tensor 2 is on 'cpu', but tensor 0 is on": lambda x, y: F.stack([x, x, y]),
    "prelu: weight is on 'cpu', but x is on 'cuda'": lambda x, y: F.prelu(x, y[0]),
    "gather: index is on 'cpu', but x is on": lambda x, y: F.gather(x, 0, y.astype("int64")),
    "max_unpool2d: indices is on 'cpu', but x": lambda x, y: _unpooled(_image(x), _image(y)),
    "logical_and: b is on 'cpu', but a is on 'cuda'": lambda x, y: (x > 0) & (y > 0),
    "setitem: value is on 'cpu', but x is on 'cuda'": lambda x, y: x.copy_(y),
    "index: the index of axis 0 is on 'cpu', but x is on": lambda x, y: x[mf.tensor([0, 1])],
    "index: the index of axis 1 is on 'cuda', but x is": lambda x, y: y[:, x[0] > 0],
    "conv2d: weight is on 'cpu', but x is on": lambda x, y: F.conv2d(_image(x), _image(y)),
    "conv2d: bias is on 'cpu', but weight is on": lambda x, y: _convolved(_image(x), y[0, :1]),
    "transpose2d: weight is on 'cpu', but x is on 'cuda'": (
        lambda x, y: F.conv_transpose2d(_image(x), _image(y))
    ),
    "linear: weight is on 'cpu', but x is on 'cuda'": lambda x, y: F.linear(x, y),
    "linear: bias is on 'cpu', but x is on 'cuda'": lambda x, y: F.linear(x, x, y[0]),
    "mse_loss: target is on 'cpu', but x is on 'cuda'": lambda x, y: F.mse_loss(x, y),
    "logits: target is on 'cpu', but x is on": lambda x, y: _binary(x, y),
    "logits: weight is on 'cpu', but x is on": lambda x, y: _binary(x, x, y),
    "logits: pos_weight is on 'cpu', but x is on": lambda x, y: _binary(x, x, pos_weight=y),
    "batch_norm: weight is on 'cpu', but x": lambda x, y: _normed(x, None, y[0]),
    "batch_norm: running_mean is on 'cpu', but x": lambda x, y: _normed(x, y[0]),
    "batch_norm: running_var is on 'cpu', but x": lambda x, y: F.batch_norm(x, x[0], y[0]),
    "setitem: an index is on 'cpu', but x is on": lambda x, y: _written(x, mf.tensor([0, 1])),
    "setitem: an index is on 'cuda', but x is on": lambda x, y: _written(y, (0, x[0] > 0)),
}


def _image(x: mf.Tensor) -> mf.Tensor:
    return x.reshape(1, 1, 2, 2)


def _convolved(x: mf.Tensor, bias: mf.Tensor) -> mf.Tensor:
    return F.conv2d(x, x, bias)


def _unpooled(x: mf.Tensor, indices: mf.Tensor) -> mf.Tensor:
    return F.max_unpool2d(x, indices.astype("int64"), 2)


def _binary(*arguments: mf.Tensor, **more: mf.Tensor) -> None:
    F.binary_cross_entropy_with_logits(*arguments, **more)  # type: ignore[arg-type] # tensors all


def _normed(x: mf.Tensor, mean: Any, weight: Any = None) -> None:
    F.batch_norm(x, mean, mean, weight, training=True)


def _written(x: mf.Tensor, key: Any) -> None:
    x[key] = 1.0


@pytest.mark.parametrize("message", MIXED)
def test_two_devices_in_one_call_are_named_with_both_arguments(cuda: Any, message: str) -> None:
    x, y = mf.tensor(values(2, 2), device="cuda"), mf.tensor(values(2, 2))
    with pytest.raises(TypeError, match=message) as caught:
        MIXED[message](x, y)
    assert "is on 'cpu'" in str(caught.value)
    assert "is on 'cuda'" in str(caught.value)
    assert "move one with .to()" in str(caught.value)


def test_batch_norm_on_the_wrong_device_leaves_its_statistics_alone(cuda: Any) -> None:
    layer = mf.nn.BatchNorm2d(2)
    with pytest.raises(TypeError, match="batch_norm: running_mean is on 'cpu', but x is on"):
        layer(mf.tensor(values(1, 2, 3, 3), device="cuda"))
    assert layer.running_mean is not None and layer.running_mean.tolist() == [0.0, 0.0]


# ---- arrays of a GPU ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4, 5)], ids=str)
def test_a_copy_of_what_is_on_a_device_stays_there(cuda: Any, shape: Any) -> None:
    x = mf.tensor(values(*shape), device="cuda")
    for data in (x, x.data):
        same, double = mf.tensor(data), mf.tensor(data, dtype="float64", requires_grad=True)
        assert (same.device, double.device, double.dtype.name) == ("cuda", "cuda", "float64")
        assert double.requires_grad
        home = mf.tensor(data, device="cpu")
        x_before = x.numpy().copy()
        same.fill_(7.0)
        home.fill_(7.0)
        for one in (x, double.detach()):
            assert np.array_equal(one.numpy(), x_before.astype(one.dtype)), "no memory is shared"
    with pytest.raises(TypeError, match="tensor: "):
        mf.tensor(x, dtype="U3")


def test_a_copy_on_the_device_can_be_captured(cuda: Any) -> None:
    from minifcn.kernels.cupy_kernels.capture import Recorded, own_stream

    x = mf.tensor(values(2, 3), device="cuda")
    with own_stream() as stream:
        recorded = Recorded(lambda: mf.tensor(x, dtype="float64").data, stream)
        x.fill_(3.0)
        recorded()
        assert mf.Tensor(recorded.result).tolist() == [[3.0] * 3] * 2


def test_an_array_without_axes_stays_on_its_device(cuda: Any) -> None:
    x = mf.tensor(2.5, device="cuda")
    y = as_tensor(x.data)
    assert y.data is x.data
    assert (mf.ones(2, device="cuda") * x.data).tolist() == [2.5, 2.5]


class Homeward(Op):
    """An operator whose forward comes back with an array of the host."""

    def shape(self, x: Any) -> Any:
        return x

    def forward(self, k: Any, x: Any) -> Any:
        return np.zeros(x.shape, x.dtype)

    def vjp(self, gy: Any) -> Any:
        return (gy,)


del Op.registry[next(name for name, op in Op.registry.items() if op is Homeward)]


def test_an_operator_that_leaves_the_device_is_named(cuda: Any) -> None:
    assert Homeward()(mf.ones(2)).tolist() == [0, 0]
    with pytest.raises(TypeError, match="homeward: forward on 'cuda' made a host array"):
        Homeward()(mf.ones(2, device="cuda"))
