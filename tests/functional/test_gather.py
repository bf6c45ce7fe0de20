"""gather: one element per place."""

from typing import Any

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn.functional.gather import ScatterAlong

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("dim", "picks"), [(0, 1), (1, 5), (-1, 2), (2, 0)])
def test_every_place_gets_what_its_index_says(dim: int, picks: int) -> None:
    x = RNG.standard_normal((2, 3, 4))
    shape = list(x.shape)
    shape[dim] = picks
    index = RNG.integers(0, x.shape[dim], shape)
    y = F.gather(mf.tensor(x), dim, mf.tensor(index))
    for place in np.ndindex(*shape):
        source: list[Any] = list(place)
        source[dim] = index[place]
        assert y.data[place] == x[tuple(source)]


def test_an_element_taken_twice_gets_both_gradients() -> None:
    x = mf.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    (g,) = mf.grad(F.gather(x, 1, mf.tensor([[2, 0, 2]])), x, mf.tensor([[1.0, 10.0, 100.0]]))
    assert g.tolist() == [[10.0, 0.0, 101.0]]


def test_whole_numbers_are_scattered_exactly() -> None:
    g = mf.tensor(np.array([[2**52 + 1, 3]]))
    assert ScatterAlong(1, 2)(g, mf.tensor([[1, 0]])).tolist() == [[3, 2**52 + 1]]


def test_errors() -> None:
    x = mf.tensor(np.ones((2, 3)))
    with pytest.raises(TypeError) as wrong_type:
        F.gather(x, 1, mf.tensor([[0.0], [1.0]]))
    for fact in ("gather:", "index has dtype float32", "expected whole numbers"):
        assert fact in str(wrong_type.value)
    with pytest.raises(IndexError) as outside:
        F.gather(x, 1, mf.tensor([[0], [3]]))
    for fact in ("gather:", "index holds 3", "axis 1 of x has size 3", "expected 0 to 2"):
        assert fact in str(outside.value)
    with pytest.raises(mf.ShapeError) as other_axis:
        F.gather(x, 1, mf.tensor([[0]]))
    for fact in ("gather:", "axis 0 of index is 1", "axis 0 of x is 2", "(2, 3)"):
        assert fact in str(other_axis.value)
    with pytest.raises(mf.ShapeError) as rank:
        F.gather(x, 1, mf.tensor([0]))
    for fact in ("gather:", "index has 1 axes", "expected 2"):
        assert fact in str(rank.value)
