"""The stand-in's streams come as late as a GPU may, and its memory serves again as CuPy's does."""

from typing import Any

import numpy as np
import pytest

from tests.cuda_emu import Cuda, streams
from tests.kernels.cuda_trial import emulated, kernel, on_device

ADD = kernel("y[t] += x[t];", "int* y, const int* x")
ONES = np.ones(4, "i4")


@pytest.fixture(autouse=True)
def only_here(cuda: Cuda) -> None:
    emulated(cuda)


def add(y: Any, x: Any, stream: Any = None) -> None:
    import cupy

    function = cupy.RawModule(code=ADD).get_function("k")
    function((1,), (4,), (y, x), stream=stream)


def new_stream() -> Any:
    import cupy

    return cupy.cuda.Stream(non_blocking=True)


# ---- order ---------------------------------------------------------------------------------------


def test_nobody_sees_work_that_nobody_waited_for() -> None:
    y, stream = on_device(ONES), new_stream()
    add(y, y, stream)
    assert y.get().tolist() == [1] * 4, "the default stream does not wait for others"
    stream.synchronize()
    assert y.get().tolist() == [2] * 4


def test_a_stream_waits_for_an_event_of_another() -> None:
    import cupy

    y, first, second = on_device(ONES), new_stream(), new_stream()
    add(y, y, first)
    done = first.record()
    add(y, y, first)  # after the event: nobody waits for it
    second.wait_event(done)
    assert y.get(second).tolist() == [2] * 4
    done.synchronize()
    assert y.get().tolist() == [2] * 4
    cupy.cuda.Device().synchronize()
    assert y.get().tolist() == [4] * 4


def test_pinned_memory_is_read_when_the_copy_comes_to_it_and_other_memory_at_once() -> None:
    import cupy

    pinned = np.frombuffer(cupy.cuda.alloc_pinned_memory(16), "i4")
    for host, seen in ((pinned, 7), (np.empty(4, "i4"), 1)):
        x, stream = cupy.empty(4, "i4"), new_stream()
        host[:] = 1
        x.set(host, stream=stream)
        host[:] = 7  # too early
        assert x.get(stream).tolist() == [seen] * 4


def test_a_graph_is_launched_in_the_order_of_a_stream() -> None:
    y, stream = on_device(ONES), new_stream()
    with stream:
        stream.begin_capture()
        add(y, y)
        graph = stream.end_capture()
        graph.launch(stream)
        graph.launch(stream)
    assert y.get().tolist() == [1] * 4
    assert y.get(stream).tolist() == [4] * 4


def test_a_graph_cannot_wait_for_work_outside_of_it() -> None:
    outside, stream = new_stream().record(), new_stream()
    stream.begin_capture()
    with pytest.raises(RuntimeError, match="cudaErrorStreamCaptureIsolation"):
        stream.wait_event(outside)
    stream.end_capture()


def test_a_mistake_is_reported_to_who_waits() -> None:
    y, stream = on_device(ONES), new_stream()
    import cupy

    function = cupy.RawModule(code=kernel("if (t) __syncthreads();")).get_function("k")
    function((1,), (4,), (y,), stream=stream)
    with pytest.raises(RuntimeError, match="k: deadlock"):
        stream.synchronize()


# ---- memory --------------------------------------------------------------------------------------


def test_memory_serves_again_on_its_stream_alone_and_is_nan() -> None:
    import cupy

    pool = cupy.cuda.MemoryPool()
    with cupy.cuda.using_allocator(pool.malloc):
        x = cupy.asarray(np.zeros(100))
        address = x.data.ptr
        assert (pool.used_bytes(), pool.total_bytes()) == (1024, 1024)
        del x
        assert (pool.used_bytes(), pool.total_bytes()) == (0, 1024)
        with new_stream():
            elsewhere = cupy.empty(100)
        assert elsewhere.data.ptr != address
        again = cupy.empty(90)
    assert again.data.ptr == address and np.isnan(again.get()).all()
    view = again[3:]
    del again
    assert pool.used_bytes() == 2048, "a view holds its memory"
    del view, elsewhere
    pool.free_all_blocks()
    assert (pool.used_bytes(), pool.total_bytes()) == (0, 0)


def test_each_replay_finds_its_memory_as_unwritten_as_the_first() -> None:
    """What a graph allocates is not what it was when the graph ended."""
    import cupy

    out, stream, pool = on_device(np.zeros(4, "f4")), new_stream(), cupy.cuda.MemoryPool()
    keep = cupy.RawModule(code=kernel("y[t] = s[t]; s[t] = 1;", "float* y, float* s")).get_function(
        "k"
    )
    with stream, cupy.cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        scratch = cupy.empty(4, "f4")
        keep((1,), (4,), (out, scratch))
        graph = stream.end_capture()
    for _ in range(2):
        graph.launch(stream)
        assert np.isnan(out.get(stream)).all()


def test_what_one_kernel_of_a_graph_is_done_with_serves_a_later_one() -> None:
    import cupy

    stream, pool = new_stream(), cupy.cuda.MemoryPool()
    with stream, cupy.cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        addresses = set()
        for _ in range(3):
            x = cupy.empty(1000)
            addresses.add(x.data.ptr)
            del x
        stream.end_capture()
    assert len(addresses) == 1 and pool.total_bytes() == 8192


def test_a_mistake_at_the_margin_is_seen_although_sizes_are_rounded() -> None:
    y = on_device(np.zeros(3, "f4"))
    import cupy

    function = cupy.RawModule(code=kernel("y[3] = 1;", "float* y")).get_function("k")
    with pytest.raises(RuntimeError, match="beyond the end"):
        function((1,), (1,), (y,))


def test_what_python_lets_go_within_a_piece_of_work_does_not_overtake_it() -> None:
    """The garbage collector may take a pool, or a stream, at any time: also between two lines."""
    import cupy

    order: list[str] = []
    stream, other = new_stream(), new_stream()
    kept: list[Any] = [cupy.cuda.MemoryPool(), other]
    streams.enqueue(lambda: order.append("of the other stream"), other)
    del other

    def work() -> None:
        order.append("begins")
        kept.clear()
        order.append("ends")

    streams.enqueue(work, stream)
    streams.enqueue(lambda: order.append("comes after"), stream)
    stream.synchronize()
    assert order == ["begins", "ends", "comes after"]
    cupy.cuda.Device().synchronize()
    assert order[3:] == ["of the other stream"]


def test_late_work_may_write_where_a_pool_was() -> None:
    import cupy

    stream, pool = new_stream(), [cupy.cuda.MemoryPool()]
    with stream, cupy.cuda.using_allocator(pool[0].malloc):
        x = on_device(ONES)
        place = x._mem.block.ctypes.data
        del x

    def work() -> None:
        pool.clear()
        assert any(  # kept for what comes after
            block.ctypes.data == place
            for arena in streams.graveyard
            for blocks in arena.values()
            for block in blocks
        )

    streams.enqueue(work, stream)
    stream.synchronize()
    cupy.cuda.Device().synchronize()
    assert not streams.graveyard
