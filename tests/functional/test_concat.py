"""cat, stack, split, chunk: what is joined comes apart again."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minifcn as mf
import minifcn.functional as F

RNG = np.random.default_rng(0)
sizes = st.lists(st.integers(0, 3), min_size=1, max_size=4)


@given(sizes, st.integers(0, 2))
def test_split_undoes_cat(parts: list[int], axis: int) -> None:
    shapes = [(2, 3, 4)[:axis] + (n,) + (2, 3, 4)[axis + 1 :] for n in parts]
    xs = [RNG.standard_normal(shape) for shape in shapes]
    for dim in (axis, axis - 3):
        y = F.cat([mf.tensor(x) for x in xs], dim)
        assert np.array_equal(y.data, np.concatenate(xs, axis))
        for x, part in zip(xs, F.split(y, parts, dim), strict=True):
            assert np.array_equal(part.data, x)


def test_each_part_gets_its_part_of_the_gradient() -> None:
    xs = [mf.tensor(RNG.standard_normal((2, n)), requires_grad=True) for n in (1, 3, 0)]
    gy = RNG.standard_normal((2, 4))
    parts = mf.grad(F.cat(xs, 1), xs, mf.tensor(gy))
    assert np.array_equal(np.concatenate([g.data for g in parts], 1), gy)


def test_a_tensor_joined_to_itself_gets_both_gradients() -> None:
    x = mf.tensor([1.0, 2.0], requires_grad=True)
    (g,) = mf.grad(F.cat([x, x]), x, mf.tensor([1.0, 2.0, 10.0, 20.0]))
    assert g.tolist() == [11.0, 22.0]


def test_stack_makes_an_axis() -> None:
    xs = [RNG.standard_normal((2, 3)) for _ in range(4)]
    for dim in (0, 1, 2, -1):
        y = F.stack([mf.tensor(x) for x in xs], dim)
        assert np.array_equal(y.data, np.stack(xs, dim))


@pytest.mark.parametrize("length", [0, 1, 5, 6, 7])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_chunks_are_few_equal_and_complete(length: int, count: int) -> None:
    x = mf.tensor(RNG.standard_normal((2, length)))
    parts = F.chunk(x, count, 1)
    assert len(parts) <= count
    assert len({part.shape for part in parts[:-1]}) <= 1
    assert np.array_equal(np.concatenate([part.data for part in parts], 1), x.data)


def test_the_last_part_is_what_is_left() -> None:
    assert [p.shape for p in F.split(mf.tensor(np.ones((5, 2))), 2)] == [(2, 2), (2, 2), (1, 2)]


def test_parts_are_views() -> None:
    x = mf.tensor(np.ones((4, 2)))
    assert all(np.shares_memory(part.data, x.data) for part in F.split(x, 1))


# ---- errors ------------------------------------------------------------------------------------


def test_shapes_that_do_not_join() -> None:
    a, b = mf.tensor(np.ones((2, 3, 4))), mf.tensor(np.ones((2, 3, 5)))
    with pytest.raises(mf.ShapeError) as caught:
        F.cat([a, a, b], 1)
    facts = "cat:", "axis 2 of tensor 2 is 5", "axis 2 of tensor 0 is 4", "(2, 3, 4)", "(2, 3, 5)"
    for fact in facts:
        assert fact in str(caught.value)
    assert F.cat([a, b], 2).shape == (2, 3, 9)
    with pytest.raises(mf.ShapeError) as refused:
        F.stack([a, b], 2)
    for fact in ("stack:", "axis 2 of tensor 1 is 5", "axis 2 of tensor 0 is 4"):
        assert fact in str(refused.value)


def test_other_mistakes_in_joining() -> None:
    x: Any = mf.tensor(np.ones((2, 3)))
    with pytest.raises(mf.ShapeError) as rank:
        F.cat([x, mf.tensor(np.ones(3))])
    for fact in ("cat:", "tensor 1 has 1 axes (3,)", "tensor 0 has 2"):
        assert fact in str(rank.value)
    with pytest.raises(mf.ShapeError) as axis:
        F.cat([x, x], 2)
    for fact in ("cat:", "is 2", "expected -2 to 1"):
        assert fact in str(axis.value)
    with pytest.raises(mf.ShapeError, match="cat: tensor 0 has no axes"):
        F.cat([mf.tensor(1.0)])
    with pytest.raises(ValueError, match="stack: tensors is empty, expected at least 1"):
        F.stack([])
    with pytest.raises(TypeError, match="cat: tensors is a Tensor, expected a list"):
        F.cat(x)
    with pytest.raises(TypeError) as dtype:
        F.cat([x, x.astype("float32")])
    for fact in ("concat", "input 1 is float32", "input 0 is float64"):
        assert fact in str(dtype.value)


def test_parts_that_do_not_add_up() -> None:
    x = mf.tensor(np.ones((2, 5)))
    with pytest.raises(mf.ShapeError) as caught:
        F.split(x, [2, 2], 1)
    for fact in ("split:", "split_size is (2, 2)", "in sum 4", "axis 1 of x is 5", "(2, 5)"):
        assert fact in str(caught.value)
    with pytest.raises(mf.ShapeError, match="split: split_size is 0, expected at least 1"):
        F.split(x, 0)
    with pytest.raises(mf.ShapeError, match="chunk: chunks is 0, expected at least 1"):
        F.chunk(x, 0)
