"""Offsets beyond 2^31: arrays of more elements than an int can count, of which few are touched.

Nobody fills these arrays, so the emulator needs no memory for them, and a GPU no time. Where an
offset that lost its upper half would point, there are zeros.
"""

import math
import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn.kernels import cupy_kernels, numpy_kernels
from minifcn.kernels.cupy_kernels.memory import put
from minifcn.window import Window
from tests.cuda_emu import memory
from tests.cuda_emu.find import Cuda

HALF = 2**31


def vast(cuda: Cuda, count: int, dtype: Any) -> Any:
    """A device array of one axis that has its addresses, and zeros there and before it."""
    import cupy

    size, before = count * np.dtype(dtype).itemsize, HALF * np.dtype(dtype).itemsize
    if cuda.kind == "real":
        free, _ = cupy.cuda.runtime.memGetInfo()
        if free < 1.5 * size:
            pytest.skip(f"the GPU has {free >> 30} GiB free, {size >> 30} are needed")
        return cupy.empty(count, dtype)
    total = before + size + 2 * memory.MARGIN
    lazy = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    room = np.frombuffer(mmap.mmap(-1, total, flags=lazy), np.uint8)
    if memory.MARGIN:
        room[: memory.MARGIN] = room[-memory.MARGIN :] = 0xFF
    block = Lazy(memory.MemoryPool(), room, before + size, 0)
    return cupy.ndarray((count,), dtype, memptr=memory.MemoryPointer(block, before))


class Lazy(memory.Memory):
    """Memory that no pool wants back: it would be filled with nan, all of it."""

    def __del__(self) -> None:
        pass


# ---- views ---------------------------------------------------------------------------------------


def test_a_copy_from_and_to_places_far_apart(cuda: Cuda) -> None:
    line = vast(cuda, 2 * HALF + 1, np.uint8)
    for at, value in ((0, 1), (HALF, 2), (2 * HALF, 3)):
        line[at : at + 1].set(np.array([value], np.uint8))
    near = cupy_kernels.copy(line[::HALF])
    assert near.tolist() == [1, 2, 3]
    put(near[::-1], line[::HALF])
    assert [line[at : at + 1].item() for at in (0, HALF, 2 * HALF)] == [3, 2, 1]


# ---- images: only the corners are looked at ------------------------------------------------------

CORNERS = np.array([[2.0, 3.0], [5.0, 7.0]])
NEAR = Window((2, 2), (2, 2), (1, 1))


def side(channels: int) -> int:
    """The side of a square image with more than 2^31 numbers."""
    return math.isqrt(HALF // channels) + 2


def image(cuda: Cuda, channels: int, dtype: Any) -> tuple[Any, Any, Window]:
    """A far image, its corners as a near one, and the window that meets just these."""
    S = side(channels)
    near = (CORNERS + np.arange(channels)[:, None, None])[None].astype(dtype)  # 1 C 2 2
    line = vast(cuda, S * S * channels, dtype)
    for i, j in np.ndindex(2, 2):
        at = (i * (S - 1) * S + j * (S - 1)) * channels
        line[at : at + channels].set(np.ascontiguousarray(near[0, :, i, j]))
    far = line.reshape(1, S, S, channels).transpose(0, 3, 1, 2)
    return far, near, Window((S, S), (2, 2), (1, 1), (S - 1, S - 1))


def weight(channels: int, dtype: Any) -> Any:
    return np.arange(1, 1 + channels * channels).reshape(channels, channels, 1, 1).astype(dtype)


READS: dict[str, Callable[[Any, Any, Window, Callable[[Any], Any]], Any]] = {
    "conv2d": lambda k, x, window, on: k.conv2d(x, on(weight(x.shape[1], x.dtype)), window),
    "conv2d_weight": lambda k, x, window, on: k.conv2d_weight(
        x, on(np.ones((1, x.shape[1], 2, 2), x.dtype)), window
    ),
    "unfold": lambda k, x, window, on: k.unfold(x, window),
    "max_pool2d": lambda k, x, window, on: k.max_pool2d(x, window)[0],
    "max_pool_take": lambda k, x, window, on: k.max_pool_take(
        x, on(np.zeros((1, x.shape[1], 2, 2), np.uint8)), window
    ),
    "avg_pool2d": lambda k, x, window, on: k.avg_pool2d(x, window, ((0, 0), (0, 0)), 1),
    "plane_take": lambda k, x, window, on: k.plane_take(x, on(places(x.shape, window))),
}


def places(shape: Any, window: Window) -> Any:
    """The places h W + k of the pixels that a window of one tap meets."""
    (s, _), W = window.stride, shape[3]
    return np.broadcast_to([[0, s], [s * W, s * W + s]], (1, shape[1], 2, 2)).astype(np.int64)


IMAGES = [(1, "float32"), (8, "float16")]  # one number at a time, and 16 bytes
WAYS = [("plain", 1, "float32"), ("tensor", 8, "float16"), ("tensor", 4, "float32")]
EVERY = [(read, "depthwise", *one) for read in READS for one in IMAGES]
EVERY += [(read, *one) for read in ("conv2d", "conv2d_weight") for one in WAYS]


@pytest.mark.parametrize(("read", "way", "channels", "dtype"), EVERY)
def test_the_last_pixel_of_a_vast_image_is_reached(
    read: str, way: str, channels: int, dtype: str, cuda: Cuda
) -> None:
    import cupy

    far, near, window = image(cuda, channels, dtype)
    expected = READS[read](numpy_kernels, near.astype(np.float64), NEAR, np.asarray)
    with mf.conv_algorithm(way):
        got = READS[read](cupy_kernels, far, window, cupy.asarray).get()
    assert np.array_equal(got.astype(np.float64), expected), "small whole numbers: nothing rounds"


def test_a_place_in_a_vast_image_is_named(cuda: Cuda) -> None:
    far, _, window = image(cuda, 1, "float32")
    got: Any = cupy_kernels.max_pool_indices(far, window)
    assert np.array_equal(got.get(), places(far.shape, window))
