"""Batches on their way to the device: each arrives whole, however far the device is behind."""

from typing import Any

import numpy as np
import pytest

from tests.cuda_emu import Cuda
from tests.devices import host


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4, 6)])
def test_no_batch_overtakes_the_ones_before(shape: Any, cuda: Cuda) -> None:
    from minifcn.kernels import cupy_kernels as k
    from minifcn.kernels.cupy_kernels.capture import own_stream
    from minifcn.kernels.cupy_kernels.transfer import Feed

    batches = [np.full(shape, number, np.float32) for number in range(9)]
    with own_stream():
        feed = Feed(shape, np.float32)
        seen = [k.scale(feed(batch), 1.0) for batch in batches]  # nothing waits for the device
    for batch, one in zip(batches, seen, strict=True):
        np.testing.assert_array_equal(host(one), batch)


def test_a_lent_buffer_is_free(cuda: Cuda) -> None:
    import cupy

    from minifcn.kernels.cupy_kernels.transfer import Pinned

    pinned, stream = Pinned((3,), np.int64), cupy.cuda.Stream(non_blocking=True)
    rooms = [cupy.empty(3, np.int64) for _ in range(6)]
    for number, room in enumerate(rooms):
        pinned.lend()[...] = number
        pinned.send(room, stream)
    stream.synchronize()
    assert [room.get().tolist() for room in rooms] == [[number] * 3 for number in range(6)]


def test_two_buffers_take_turns(cuda: Cuda) -> None:
    """While one is on its way the other is filled: nothing waits but for the copy before last."""
    import cupy

    from minifcn.kernels.cupy_kernels.transfer import Pinned

    pinned, stream = Pinned((3,), np.int64), cupy.cuda.Stream(non_blocking=True)
    lent = []
    for _ in range(4):
        lent.append(pinned.lend().ctypes.data)
        pinned.send(cupy.empty(3, np.int64), stream)
    assert lent[0] == lent[2] != lent[1] == lent[3]
