"""The memory of the NumPy kernels: blocks come back when nobody looks; room is never guessed."""

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minifcn as mf
from minifcn.kernels.numpy_kernels import memory, rows


def padded(x: Any, near: tuple[int, int], size: tuple[int, int]) -> Any:
    """What `framed` promises, pixel by pixel."""
    N, C, H, W = x.shape
    frame = np.zeros((*size, N, C), x.dtype)
    for h in range(H):
        for w in range(W):
            if 0 <= h + near[0] < size[0] and 0 <= w + near[1] < size[1]:
                frame[h + near[0], w + near[1]] = x[:, :, h, w]
    return frame


def filled(shape: tuple[int, ...], dtype: Any = np.float32) -> Any:
    x = memory.empty(shape, dtype)
    x[...] = np.random.default_rng(0).standard_normal(shape)
    return x


sizes = st.integers(0, 13)
shifts = st.integers(-3, 4)


@given(
    st.tuples(st.integers(0, 3), st.integers(0, 9), sizes, sizes), shifts, shifts, shifts, shifts
)
def test_a_frame_is_the_image_among_zeros(
    shape: tuple[int, int, int, int], top: int, left: int, bottom: int, right: int
) -> None:
    size = max(shape[2] + top + bottom, 0), max(shape[3] + left + right, 0)
    plain = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    mine = filled(shape)
    mine[...] = plain
    for x in (mine, plain, np.ascontiguousarray(plain.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)):
        frame = memory.framed(x, (top, left), size)
        assert np.array_equal(frame, padded(plain, (top, left), size))
        assert np.array_equal(x, plain), "the image stays as it was"


def test_room_around_an_image_pads_it_for_free() -> None:
    x = filled((2, 16, 9, 11))
    assert np.shares_memory(memory.framed(x, (1, 1), (11, 13)), x)
    assert np.shares_memory(memory.framed(x, (0, 1), (10, 12)), x)
    assert np.shares_memory(memory.framed(x[:], (1, 1), (11, 13)), x), "a view of all of it too"
    assert not np.shares_memory(memory.framed(x, (2, 1), (12, 13)), x), "more than there is"


@pytest.mark.parametrize(
    "seen",
    [
        lambda x: x[:, :, 1:-1, 1:-1],
        lambda x: x[:, :, :-1, :-1],  # begins where the block's image begins
        lambda x: x[:1],
        lambda x: x.transpose(0, 1, 3, 2),  # begins there too, and has its shape
        lambda x: x[:, :, ::-1],
    ],
)
def test_a_part_of_an_image_has_pixels_around_it_and_not_room(seen: Any) -> None:
    big = filled((2, 16, 12, 12))
    part = seen(big)
    before, size = big.copy(), (part.shape[2] + 2, part.shape[3] + 2)
    frame = memory.framed(part, (1, 1), size)
    assert np.array_equal(frame, padded(np.array(part), (1, 1), size))
    assert np.array_equal(big, before)


def test_whatever_was_written_into_the_room_is_zero_for_the_next_reader() -> None:
    x = filled((2, 16, 9, 11))
    memory.framed(x, (1, 1), (11, 13))[0] = np.nan
    assert np.array_equal(memory.framed(x, (1, 1), (11, 13)), padded(np.array(x), (1, 1), (11, 13)))


def test_a_block_comes_back_with_its_last_view() -> None:
    mf.release_memory()
    x = filled((2, 16, 40, 40))
    view = x[1:, ::2]
    first = memory.address(x)
    del x
    other = filled((2, 16, 40, 40))
    assert memory.address(other) != first, "somebody still looks at the first"
    kept = view.copy()
    other[...] = 7
    assert np.array_equal(view, kept)
    del view
    again = filled((2, 16, 40, 40))
    assert memory.address(again) == first
    assert mf.memory_counts()["fresh"] >= 2


def test_where_a_block_dies_no_python_code_runs() -> None:
    """In such code, as in `__del__`, a Ctrl-C would be reported and forgotten."""
    x = filled((2, 16, 40, 40))
    seen = []
    sys.setprofile(lambda frame, event, _: seen.append((event, frame.f_code.co_name)))
    try:
        del x
    finally:
        sys.setprofile(None)
    assert [name for event, name in seen if event == "call"] == []


def test_who_finds_the_pool_busy_gets_memory_elsewhere() -> None:
    """A signal's handler, or a child forked meanwhile, would wait for ever."""
    x = filled((2, 16, 40, 40))
    kept = x.copy()
    with memory._pool.lock:
        y = filled((2, 16, 40, 40))
        y[...] = 7
        frame = memory.framed(y, (1, 1), (42, 42))
    assert np.array_equal(frame, padded(np.array(y), (1, 1), (42, 42)))
    assert np.array_equal(x, kept)


def test_of_equal_free_pieces_the_last_one_used_serves_next() -> None:
    """It may still lie in the cache."""
    mf.release_memory()
    x, y, z = (filled((2, 16, 40, 40)) for _ in range(3))
    last = memory.address(y)
    del x, z, y
    assert memory.address(filled((2, 16, 40, 40))) == last


def test_a_small_array_does_not_sit_on_a_large_piece() -> None:
    mf.release_memory()
    large = filled((2, 16, 200, 200))
    del large
    before = mf.memory_counts()
    small = filled((2, 16, 40, 40))
    after = mf.memory_counts()
    assert after["fresh"] == before["fresh"] + 1
    assert after["live"] - before["live"] <= memory.LOOSE * 42 * 42 * small[:, :, 0, 0].nbytes


def test_where_memory_runs_out_what_is_free_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    mf.release_memory()
    large = filled((2, 16, 200, 200))
    del large
    make = memory.from_system

    def scarce(size: int) -> memory.Memory:
        if memory._pool.idle:
            raise MemoryError
        return make(size)

    monkeypatch.setattr(memory, "from_system", scarce)
    assert filled((2, 16, 40, 40)).shape == (2, 16, 40, 40)


def test_free_memory_stays_in_proportion_and_can_be_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "SPARE", 0)
    monkeypatch.setattr(memory, "_pool", memory._Pool())  # where not much has lived yet
    for size in range(30, 200, 3):
        filled((1, 16, size, size))
    counts = mf.memory_counts()
    largest = 16 * 205 * 205 * 4
    assert counts["live"] + counts["free"] <= memory.KEEP * memory._pool.most + largest
    mf.release_memory()
    assert mf.memory_counts()["free"] == 0


@pytest.mark.parametrize(
    "shape", [(2, 16, 9, 11), (1, 1, 8, 8), (2, 3, 4, 5), (0, 3, 9, 9), (3, 0, 9, 9)]
)
def test_empty_lies_by_pixels(shape: tuple[int, int, int, int]) -> None:
    x = memory.empty(shape, np.float32)
    assert x.shape == shape
    assert memory.lies_by_pixels(x)
    assert memory.pixels(x).shape == (shape[2], shape[3], shape[0], shape[1])


def test_rows_that_overlap_or_run_backwards_do_not_lie_by_pixels() -> None:
    x = filled((2, 3, 9, 11))
    assert memory.lies_by_pixels(x[:, :, 2:5])
    assert not memory.lies_by_pixels(x[:, :, ::-1])
    assert not memory.lies_by_pixels(np.broadcast_to(x[:, :, :1], x.shape))


def test_a_result_keeps_the_order_of_other_ranks() -> None:
    x = np.zeros((40, 50, 60), np.float32).transpose(2, 0, 1)
    made = rows.result(x)
    assert made.shape == x.shape
    assert made.strides == x.strides
