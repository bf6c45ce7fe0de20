"""cast and to: the same numbers elsewhere; the gradient comes home."""

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F

FLOATS = [np.float16, np.float32, np.float64]


@pytest.mark.parametrize("there", FLOATS)
@pytest.mark.parametrize("here", FLOATS)
def test_gradients_come_back_in_the_parameters_own_dtype(here, there) -> None:
    x = mf.tensor(np.array([1.5, -2.0], here), requires_grad=True)
    y = F.cast(x, there)
    assert y.dtype == there
    (g,) = mf.grad(y * y, x, mf.ones_like(y), create_graph=True)
    assert g.dtype == here and g.tolist() == [3.0, -4.0]
    (h,) = mf.grad(g, x, mf.ones_like(g))
    assert h.dtype == here and h.tolist() == [2.0, 2.0]


def test_the_same_dtype_is_the_same_tensor() -> None:
    x = mf.tensor([1.0])
    assert F.cast(x, np.float32) is x
    assert F.to(x, "cpu") is x


def test_casting_does_not_keep_the_input_alive() -> None:
    x = mf.tensor(np.ones(1000), requires_grad=True)
    y = F.cast(x, np.float32)
    assert y._node is not None and y._node.kept is not None
    assert sum(array.size for array, _, _ in y._node.kept) == 0
    assert not any(np.shares_memory(array, x.data) for array, _, _ in y._node.kept)


def test_whole_numbers_are_cut_off_and_not_recorded() -> None:
    x = mf.tensor([1.75, -1.75, 0.0], requires_grad=True)
    assert F.cast(x, "int64").tolist() == [1, -1, 0]
    assert F.cast(x, bool).tolist() == [True, True, False]
    assert not F.cast(x, "int64").requires_grad
    assert F.cast(mf.tensor([1, 2]), "float32").dtype == np.float32


def test_too_large_for_the_type_is_infinite() -> None:
    assert F.cast(mf.tensor(np.array([1e300, -1e300])), "float32").tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize("dtype", ["complex64", "float31", "datetime64[s]", str, object])
def test_other_types_are_refused(dtype) -> None:
    with pytest.raises(TypeError) as caught:
        F.cast(mf.tensor([1.0]), dtype)
    for fact in ("cast:", f"dtype is {dtype!r}", "expected a float, int or bool type"):
        assert fact in str(caught.value)


def test_unknown_devices_are_refused() -> None:
    with pytest.raises(ValueError) as caught:
        F.to(mf.tensor([1.0]), "gpu")
    for fact in ("device", "'gpu'", "cpu", "cuda"):
        assert fact in str(caught.value)


def test_a_move_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from minifcn.functional import move

    moves = []

    def to_device(array, name: str):
        moves.append(name)
        return array

    x, gy = mf.tensor([1.0, 2.0], requires_grad=True), mf.tensor([3.0, 4.0])
    monkeypatch.setattr(move, "to_device", to_device)
    (g,) = mf.grad(move.Move("cpu", "cuda")(x), x, gy)
    assert moves == ["cuda", "cpu"] and g.tolist() == [3.0, 4.0]
