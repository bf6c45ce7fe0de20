"""Views on the GPU share memory where NumPy's do; what is written through a key lands there."""

from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn.device import by_name
from minifcn.kernels import reference
from tests.devices import on


@pytest.fixture
def k(cuda: Any) -> Any:
    from minifcn.kernels import cupy_kernels

    return cupy_kernels


RESHAPES = [
    ((6, 4), (24,)), ((6, 4), (2, 3, 2, 2)), ((2, 3, 4), (6, 4)), ((2, 3, 4), (2, 12)),
    ((2, 3, 4, 5), (2, 60)), ((2, 3, 4, 5), (2, 3, 20)), ((2, 3, 4, 5), (4, 5, 3, 2)),
    ((1, 6, 1), (6,)), ((6,), (1, 2, 1, 3)), ((), (1, 1)), ((1,), ()), ((0, 3), (3, 0, 2)),
    ((2, 12), (2, 3, 2, 2)), ((3, 4, 2), (12, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), RESHAPES)
@pytest.mark.parametrize("order", ["C", "F", "backwards", "gaps", "pixels"])
def test_a_reshape_is_a_view_where_strides_can_say_it(
    k: Any, old: Any, new: Any, order: str
) -> None:
    a = np.arange(np.prod(old, dtype=int), dtype="f4").reshape(old)
    if order == "F":
        a = np.asfortranarray(a)
    elif order == "backwards":
        a = a[::-1] if a.ndim else a
    elif order == "gaps":
        a = np.repeat(a, 2, -1)[..., ::2] if a.ndim else a
    elif a.ndim == 4 and order == "pixels":
        a = np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    x = on("cuda", a)
    y = k.reshape(x, new)
    assert np.array_equal(y.get(), a.reshape(new))
    if a.size > 1:
        assert (y.data.ptr == x.data.ptr) == np.shares_memory(a, a.reshape(new))


def test_a_reshaped_image_is_copied_once_into_the_order_of_images(k: Any) -> None:
    from minifcn.kernels.cupy_kernels.memory import is_packed

    a = np.arange(2 * 3 * 20.0).reshape(2, 20, 3).transpose(0, 2, 1)  # N C HW, lies N HW C
    y = k.reshape(on("cuda", a), (2, 3, 4, 5))
    assert is_packed(y)
    assert np.array_equal(y.get(), a.reshape(2, 3, 4, 5))


def test_broadcasts_and_transposes_copy_nothing(k: Any) -> None:
    x = on("cuda", np.arange(6.0).reshape(2, 1, 3))
    wide = k.broadcast_to(x, (4, 2, 5, 3))
    assert wide.data.ptr == x.data.ptr
    assert np.array_equal(wide.get(), np.broadcast_to(x.get(), (4, 2, 5, 3)))
    assert k.permute(x, (2, 0, 1)).data.ptr == x.data.ptr


def test_padding_crops_fills_and_keeps_bits(k: Any) -> None:
    a = np.arange(12, dtype="i2").reshape(3, 4)
    got = k.pad(on("cuda", a), ((2, -1), (-3, 4)), -7).get()
    assert np.array_equal(got, reference.pad(a, ((2, -1), (-3, 4)), -7))
    assert (k.pad(on("cuda", a[:0]), ((1, 1), (0, 0)), 3).get() == 3).all()
    ends = k.pad(on("cuda", np.zeros((1, 1), "f2")), ((0, 0), (1, 1)), float("-inf")).get()
    assert ends.tolist() == [[-np.inf, 0, -np.inf]]


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i4", "u1"])
def test_maps_of_many_taps_go_axis_by_axis(k: Any, dtype: str) -> None:
    """Among them outputs that read nothing, and one axis that shrinks while the other grows."""
    rows = tuple(tuple((h, 0.25 * h) for h in range(i, i + 5)) if i % 2 else () for i in range(3))
    cols = tuple(((w, 2.0), (w + 1, -1.0), (3 - w, 0.5), (0, 1.0)) for w in (0, 2, 1, 0, 1, 2, 2))
    a = np.random.default_rng(0).integers(0, 9, (2, 3, 7, 4)).astype(dtype)
    got = k.resample(on("cuda", a), rows, cols).get()
    exact = reference.resample(a.astype("f8"), rows, cols)
    assert got.shape == (2, 3, 3, 7)
    if dtype[0] == "f":
        step = 2.0 ** {"f8": -52, "f4": -22, "f2": -10}[dtype]
        assert np.abs(got - exact).max() <= step * np.abs(exact).max()
    picked = tuple(((h, 1.0),) for h in (3, 0, 0))
    assert np.array_equal(
        k.resample(on("cuda", a), picked, picked).get(), a[:, :, [3, 0, 0]][..., [3, 0, 0]]
    )


@pytest.mark.parametrize(
    ("dtype", "channels", "from_", "word"),
    [
        ("f2", 16, 8, "uint128"), ("f2", 12, 4, "uint64"), ("f2", 6, 2, "uint32"),
        ("f2", 8, 1, "uint16"), ("f2", 7, 1, "uint16"), ("f4", 8, 4, "uint128"),
        ("f4", 8, 2, "uint64"), ("f8", 4, 2, "uint128"), ("f8", 3, 1, "uint64"),
        ("u1", 32, 16, "uint128"), ("u1", 6, 2, "uint16"),
    ],
)  # fmt: skip
def test_parts_of_pixels_move_in_words_as_wide_as_all_of_them_allow(
    k: Any, dtype: str, channels: int, from_: int, word: str
) -> None:
    """Channels from `from_` on, of images that lie by pixels: each pixel gives one run."""
    from minifcn.kernels.cupy_kernels import memory

    a = np.arange(2 * channels * 6).reshape(2, channels, 3, 2).astype(dtype)
    part = k.copy(on("cuda", a))[:, from_:]
    y: Any = memory.empty(part.shape, part.dtype)
    assert memory.words(part, y, memory.merged(part, y))[1] == word
    memory.put(part, y)
    assert np.array_equal(y.get(), a[:, from_:])


def test_a_captured_step_holds_the_taps_it_reads(k: Any) -> None:
    """Whatever happens to the cache, their memory is not given to others while it is replayed."""
    from minifcn.kernels.cupy_kernels import numbers, resize

    taps = (((0, 0.5), (1, 0.5)),)
    x = on("cuda", np.ones((1, 1, 2, 2), "f4"))
    k.resample(x, taps, taps)
    table = numbers.Table()
    with numbers.kept_in(table):
        k.resample(x, taps, taps)
    resize._sent.cache_clear()
    assert [[len(part) for part in held] for held in table.held] == [[2, 2, 2]] * 2


# ---- writing -----------------------------------------------------------------------------------

A = np.arange(24).reshape(4, 3, 2)
KEYS: list[tuple[Any, Any]] = [
    (..., 5), ((), 5), (1, 7), (-1, [[1, 2], [3, 4], [5, 6]]), ((0, 1, 1), 3),
    ((slice(None), 1), [8, 9]), ((slice(3, 0, -2), ..., 0), 4), ((None, 2), np.ones((1, 1, 2))),
    ((slice(2, 2),), 1), (np.int64(2), 6), ([1, 1, 0], np.arange(18).reshape(3, 3, 2)),
    ((slice(None), [0, 2]), 1), (A % 3 == 0, -1), (A % 5 == 0, np.arange(5)), (A < 0, 1),
    (A[..., 0] % 2 == 0, [[1, 2]]),
    ((np.array([0, -1, 0]), np.array([1, 2, 1])), [[1], [2], [3]]),
    ((None, [[0]], None, None, slice(1, 3), None), np.arange(4).reshape(2, 1, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), KEYS, ids=range(len(KEYS)))
@pytest.mark.parametrize("dtype", ["f4", "f2", "i8", "u1"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_written_as_numpy_writes(k: Any, key: Any, value: Any, dtype: str, order: Any) -> None:
    a = np.ascontiguousarray(A.transpose(order)).transpose(np.argsort(order)).astype(dtype)
    expected, looped, x = a.copy(), a.copy(), on("cuda", a)
    with np.errstate(all="ignore"):
        value = value if dtype != "u1" else np.abs(value)
        expected[key] = value
        reference.write(looped, key, value)
        k.write(x, key, value)
        assert np.array_equal(x.get(), expected)
        assert np.array_equal(looped, expected)


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        (4, 1, IndexError), ((0, 0, 0, 0), 1, IndexError), (..., [1, 2, 3], ValueError),
        ((0, ...), np.ones((2, 3, 2)), ValueError), ([0, 5], 1, IndexError),
        (A > 3, np.ones(3), ValueError), ("a", 1, IndexError),
    ],
    ids=str,
)  # fmt: skip
def test_what_numpy_refuses_is_refused(cuda: Any, key: Any, value: Any, error: Any) -> None:
    for device in ("cpu", "cuda"):
        x = mf.tensor(A, device=device)
        with pytest.raises(error, match="setitem: cannot write"):
            x[key] = value
        assert np.array_equal(x.numpy(), A)


def test_a_part_is_written_onto_another_part_of_itself(cuda: Any) -> None:
    for device in ("cpu", "cuda"):
        x = mf.tensor(np.arange(50.0), device=device)
        x[1:] = x[:-1]
        assert x.tolist() == [0.0, *range(49)]


@pytest.mark.parametrize("dtype", ["f4", "f2", "bfloat16", "i4", "u1", "?"])
def test_comparing_with_numbers_no_element_can_hold(cuda: Any, dtype: str) -> None:
    values = np.array([0, 1, 2, 200], "i8").astype(by_name(dtype))
    for number in (0.5, 1, -1, 300, 10**12, -(2**70), float("inf"), float("-inf"), float("nan")):
        got = mf.tensor(values, device="cuda") < number
        assert got.dtype == np.bool_
        assert got.tolist() == [float(one) < number for one in values]
