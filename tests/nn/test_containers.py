"""Sequential, ModuleList, Identity, Flatten."""

from collections import OrderedDict

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def forward(self, x):
        return x * self.factor + 1


def test_sequential_runs_in_order():
    net = nn.Sequential(Times(2), Times(10))
    assert net(mf.tensor([1.0])).tolist() == [31]
    assert nn.Sequential(Times(10), Times(2))(mf.tensor([1.0])).tolist() == [23]
    assert nn.Sequential()(mf.tensor([1.0])).tolist() == [1]


def test_sequential_is_indexed_sliced_extended_and_changed():
    a, b, c = Times(1), Times(2), Times(3)
    net = nn.Sequential(a, b).append(c)
    assert (net[0], net[-1], len(net), list(net)) == (a, c, 3, [a, b, c])
    assert isinstance(net[1:], nn.Sequential)
    assert list(net[1:]) == [b, c]
    net[1] = d = Times(4)
    assert list(net) == [a, d, c]
    with pytest.raises(IndexError, match=r"index is 3.*there are 3"):
        net[3]


def test_names_of_ones_own():
    net = nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 1, 1), act=nn.ReLU()))
    assert [name for name, _ in net.named_parameters()] == ["conv.weight", "conv.bias"]
    assert isinstance(net[1], nn.ReLU)
    assert list(net[:1].state_dict()) == ["conv.weight", "conv.bias"]


@pytest.mark.parametrize("name", ["forward", "a.b", "", "training"])
def test_names_that_cannot_be(name):
    with pytest.raises(ValueError, match=f"'{name}'"):
        nn.Sequential({name: nn.ReLU()})


def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match=r"Sequential: entry 1 is a function"):
        nn.Sequential(nn.ReLU(), lambda x: x)  # type: ignore[arg-type] # the mistake under test


def test_module_list():
    parts = nn.ModuleList([nn.Conv2d(1, 1, 1)])
    parts.append(nn.Conv2d(1, 2, 1, bias=False)).extend([nn.ReLU()])
    assert (len(parts), type(parts[-1]), len(parts[:2])) == (3, nn.ReLU, 2)
    assert list(parts.state_dict()) == ["0.weight", "0.bias", "1.weight"]


def test_identity_takes_anything():
    x = mf.tensor([1.0])
    assert nn.Identity(54, unused=True)(x) is x


@pytest.mark.parametrize(
    ("dims", "shape"), [((), (2, 60)), ((0,), (120,)), ((1, 2), (2, 12, 5)), ((-2,), (2, 3, 20))]
)
def test_flatten(dims, shape):
    x = np.arange(120.0).reshape(2, 3, 4, 5)
    y = nn.Flatten(*dims)(mf.tensor(x)).numpy()
    assert y.shape == shape
    assert np.array_equal(y.ravel(), x.ravel())


@pytest.mark.parametrize(
    ("dims", "fact"),
    [((4,), "start_dim is 4"), ((2, 1), "start_dim is 2, which comes after end_dim 1")],
)
def test_flatten_mistakes(dims, fact):
    with pytest.raises(mf.ShapeError, match=fact):
        nn.Flatten(*dims)(mf.tensor(np.zeros((1, 2, 3, 4))))
