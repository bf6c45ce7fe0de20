"""The stand-in for `cupy`: strict where CuPy is, and stricter. On a GPU the rest runs on CuPy."""

import importlib.util
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tests.cuda_emu import Cuda, installed
from tests.cuda_emu.stand_in import MODULES
from tests.kernels.cuda_trial import emulated, kernel

A = np.arange(24, dtype="f4").reshape(2, 3, 4)


# ---- arrays --------------------------------------------------------------------------------------


def test_there_and_back(cuda: Cuda) -> None:
    import cupy

    for host in (A, A.T, A[::-1, ::2], np.float64(3.5).reshape(()), np.zeros((0, 3), "i8")):
        array = cupy.asarray(host)
        assert type(array) is cupy.ndarray and type(array).__module__ == "cupy"
        assert (array.shape, array.dtype, array.ndim) == (host.shape, host.dtype, host.ndim)
        assert (array.size, array.nbytes, array.itemsize) == (host.size, host.nbytes, host.itemsize)
        for back in (array.get(), cupy.asnumpy(array)):
            assert type(back) is np.ndarray and np.array_equal(back, host)
            assert back.flags.c_contiguous
    assert cupy.asarray(A).strides == A.strides and cupy.asarray(A.T).strides == A.T.strides
    assert cupy.asarray(A[:, ::2]).flags.c_contiguous, "holes are not taken along"


def test_views_are_views(cuda: Cuda) -> None:
    import cupy

    x = cupy.asarray(A)
    views = [
        (x.transpose(2, 0, 1), A.transpose(2, 0, 1)), (x.T, A.T),
        (x.swapaxes(0, 1), A.swapaxes(0, 1)),
        (x[1], A[1]), (x[:, ::-1, 1:3], A[:, ::-1, 1:3]), (x[..., None, 2], A[..., None, 2]),
        (x.reshape(6, 4), A.reshape(6, 4)), (x.reshape(-1), A.reshape(-1)),
        (x.view("u4"), A.view("u4")),
    ]  # fmt: skip
    for view, expected in views:
        assert np.array_equal(view.get(), expected) and view.strides == expected.strides
        assert view.flags.c_contiguous == expected.flags.c_contiguous
    x.set(-A)
    assert np.array_equal(views[4][0].get(), -A[:, ::-1, 1:3])


def test_an_array_at_a_place_in_memory(cuda: Cuda) -> None:
    import cupy

    x = cupy.asarray(A)
    assert x[1, 1:].data.ptr - x.data.ptr == 4 * (12 + 4)
    second = cupy.ndarray((3, 2), "f4", memptr=x.data + 4, strides=(16, 4))
    assert np.array_equal(second.get(), A[0, :, 1:3])


def test_only_what_fits_is_set(cuda: Cuda) -> None:
    import cupy

    x = cupy.asarray(A)
    with pytest.raises(TypeError, match=r"Only numpy\.ndarray can be set"):
        x.set(x)
    with pytest.raises(TypeError, match="float64 array cannot be set to float32 array"):
        x.set(A.astype("f8"))
    with pytest.raises(ValueError, match="Shape mismatch"):
        x.set(A[0])
    with pytest.raises(RuntimeError, match="Cannot set to non-contiguous array"):
        x[:, ::2].set(A[:, ::2])


MIXES = {
    "numpy.asarray": lambda x: np.asarray(x),
    "host + device": lambda x: A + x,
    "device + host": lambda x: x + A,
    "a ufunc": lambda x: np.add(A, x),
    "a function": lambda x: np.concatenate([A, x]),
    "writing into a host array": lambda x: A.copy().__setitem__(0, x),
}


@pytest.mark.parametrize("mix", MIXES)
def test_host_and_device_arrays_never_mix(cuda: Cuda, mix: str) -> None:
    import cupy

    x = cupy.asarray(A)
    with pytest.raises(TypeError):
        MIXES[mix](x)


STRANGE = {
    "arithmetic": lambda x: x + x,
    "a method": lambda x: x.sum(),
    "fancy indexing": lambda x: x[[0, 1]],
    "a mask": lambda x: x[np.ones(2, bool)],
    "writing": lambda x: x.__setitem__(0, 1.0),
    "a reshape that copies": lambda x: x.T.reshape(-1),
    "a hidden cast": lambda x: __import__("cupy").asarray(x, dtype="f8"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_the_stand_in_has_no_arithmetic(cuda: Cuda, name: str) -> None:
    """CuPy would compute; minifcn does so in its own kernels."""
    import cupy

    emulated(cuda)
    with pytest.raises((TypeError, AttributeError)):
        STRANGE[name](cupy.asarray(A))


def test_what_cupy_lacks_the_stand_in_lacks(cuda: Cuda) -> None:
    import cupy

    for name in ("geomspace", "block", "matrix", "nothing"):
        with pytest.raises(AttributeError):
            getattr(cupy, name)


# ---- launches ------------------------------------------------------------------------------------

PAIR = "struct Pair { int a; double b; };\n" + kernel(
    "y[t] = p.a + p.b;", "double* y, const Pair p"
)


def function_of(source: str) -> Any:
    import cupy

    return cupy.RawModule(code=source, options=("-std=c++17",)).get_function("k")


def test_a_struct_is_a_numpy_array_of_one_element(cuda: Cuda) -> None:
    import cupy

    pair = np.zeros((), np.dtype([("a", "i4"), ("b", "f8")], align=True))
    pair["a"], pair["b"] = 3, 0.25
    y = cupy.asarray(np.zeros(4))
    function_of(PAIR)((1,), (4,), (y, pair))
    assert y.get().tolist() == [3.25] * 4


NULL = np.uint64(0)  # the pointer to nothing

WRONG = {
    "None": lambda x: (x, np.float32(1), np.int32(1), None),
    "too few": lambda x: (x, np.float32(1)),
    "too many": lambda x: (x, np.float32(1), np.int32(1), x, x),
    "a Python float": lambda x: (x, 1.0, np.int32(1), NULL),
    "a Python int": lambda x: (x, np.float32(1), 1, NULL),
    "another kind": lambda x: (x, np.int32(1), np.int32(1), NULL),
    "a host array": lambda x: (A, np.float32(1), np.int32(1), NULL),
    "a number for an array": lambda x: (np.float32(1), np.float32(1), np.int32(1), NULL),
    "an array for a number": lambda x: (x, x, np.int32(1), NULL),
    "another dtype": lambda x: (x.view("i4"), np.float32(1), np.int32(1), NULL),
    "strides": lambda x: (x.T, np.float32(1), np.int32(1), NULL),
    "a text": lambda x: (x, "1", np.int32(1), NULL),
}


@pytest.mark.parametrize("name", WRONG)
def test_arguments_that_do_not_fit_are_refused(cuda: Cuda, name: str) -> None:
    import cupy

    emulated(cuda)
    function = function_of(kernel("x[t] = s * n;", "float* x, float s, int n, float* none"))
    x = cupy.asarray(A)
    with pytest.raises(TypeError):
        function((1,), (1,), WRONG[name](x))
    function((1,), (1,), (x, np.float32(2), np.int32(3), NULL))
    assert x.get()[0, 0, 0] == 6


@pytest.mark.parametrize(
    ("grid", "block", "shared"),
    [((1, 65536), (1,), 0), ((1,), (1025,), 0), ((1,), (1, 1, 65), 0), ((1,), (1,), 50_000)],
)
def test_launches_beyond_the_limits_are_refused(
    cuda: Cuda, grid: Any, block: Any, shared: int
) -> None:
    with pytest.raises(RuntimeError, match=r"CUDA_ERROR_INVALID_VALUE"):
        function_of(kernel("", ""))(grid, block, (), shared_mem=shared)


def test_what_does_not_compile(cuda: Cuda) -> None:
    import cupy

    with pytest.raises(cupy.cuda.compiler.CompileException, match="nowhere"):
        function_of(kernel("y[t] = nowhere;"))
    with pytest.raises(RuntimeError, match="named symbol not found"):
        cupy.RawModule(code=kernel("")).get_function("missing")


# ---- streams and graphs --------------------------------------------------------------------------

ADD = kernel("y[t] += x[t];", "int* y, const int* x")


def test_a_graph_records_and_replays(cuda: Cuda) -> None:
    import cupy

    add, y, x = function_of(ADD), cupy.asarray(np.zeros(4, "i4")), cupy.asarray(np.ones(4, "i4"))
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        assert cupy.cuda.get_current_stream() == stream
        stream.begin_capture()
        assert stream.is_capturing()
        add((1,), (4,), (y, x))
        graph = stream.end_capture()
    assert not stream.is_capturing() and y.get().tolist() == [0] * 4, "recorded, not done"
    graph.upload(stream)
    for _ in range(3):
        graph.launch(stream)
    stream.synchronize()
    x.set(np.full(4, 10, "i4"))  # the next replay sees it
    graph.launch(stream)
    stream.synchronize()
    assert y.get().tolist() == [13] * 4


SYNCHRONOUS = {
    "get": lambda cupy, x, stream: x.get(),
    "item": lambda cupy, x, stream: x[0].item(),
    "asnumpy": lambda cupy, x, stream: cupy.asnumpy(x),
    "synchronize": lambda cupy, x, stream: stream.synchronize(),
}


@pytest.mark.parametrize("name", SYNCHRONOUS)
def test_nothing_waits_while_a_stream_captures(cuda: Cuda, name: str) -> None:
    import cupy

    stream, x = cupy.cuda.Stream(non_blocking=True), cupy.asarray(np.zeros(4, "i4"))
    with stream:
        stream.begin_capture()
        try:
            with pytest.raises(RuntimeError, match=r"captur|Captur"):
                SYNCHRONOUS[name](cupy, x, stream)
        finally:
            _end(stream)


def _end(stream: Any) -> None:
    """A GPU gives up a capture in which something illegal was tried."""
    try:
        stream.end_capture()
    except RuntimeError:
        pass


def test_the_default_stream_cannot_capture(cuda: Cuda) -> None:
    import cupy

    with pytest.raises(RuntimeError, match="cannot capture on the default"):
        cupy.cuda.Stream.null.begin_capture()


def test_work_beside_a_capture_is_refused(cuda: Cuda) -> None:
    import cupy

    emulated(cuda)
    add, y = function_of(ADD), cupy.asarray(np.zeros(4, "i4"))
    stream = cupy.cuda.Stream(non_blocking=True)
    stream.begin_capture()  # but it is not the current one
    try:
        with pytest.raises(RuntimeError, match="cudaErrorStreamCaptureImplicit"):
            add((1,), (4,), (y, y))
    finally:
        stream.end_capture()


def test_pinned_memory_events_and_copies_in_order(cuda: Cuda) -> None:
    import cupy

    memory = cupy.cuda.alloc_pinned_memory(16)
    host = np.frombuffer(memory, "i4", 4)
    host[:] = [1, 2, 3, 4]
    stream, x = cupy.cuda.Stream(non_blocking=True), cupy.empty(4, "i4")
    start = stream.record()
    x.set(host, stream=stream)
    end = stream.record()
    end.synchronize()
    assert end.done and cupy.cuda.get_elapsed_time(start, end) >= 0
    cupy.cuda.get_current_stream().wait_event(end)
    assert x.get().tolist() == [1, 2, 3, 4]


def test_a_pool_of_its_own(cuda: Cuda) -> None:
    import cupy

    pool = cupy.cuda.MemoryPool()
    with cupy.cuda.using_allocator(pool.malloc):
        x = cupy.asarray(A)
    assert np.array_equal(x.get(), A)
    pool.free_all_blocks()


# ---- coming and going ----------------------------------------------------------------------------


def test_it_is_there_only_while_it_is_asked_for() -> None:
    before = sys.modules.get("cupy")
    with installed():
        import cupy

        assert cupy is MODULES["cupy"]
    assert sys.modules.get("cupy") is before


def test_every_name_is_one_of_cupys() -> None:
    """In a process of its own, as the real CuPy is slow to import and may not be loaded here."""
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("CuPy is not installed")
    names = [f"{m}.{n}" for m, module in MODULES.items() for n in vars(module) if n[0] != "_"]
    names += [f"cupy.ndarray.{n}" for n in dir(MODULES["cupy"].ndarray) if n[0] != "_"]
    for path in (
        "cuda.Stream",
        "cuda.Event",
        "cuda.Graph",
        "cuda.MemoryPool",
        "cuda.MemoryPointer",
    ):
        parent: Any = MODULES["cupy"]
        for part in path.split("."):
            parent = getattr(parent, part)
        names += [f"cupy.{path}.{n}" for n in dir(parent) if n[0] != "_"]
    program = (
        "import cupy, cupyx, cupy.cuda.compiler, functools, operator, sys\n"
        "known = {'cupy': cupy, 'cupyx': cupyx}\n"
        "for name in sys.argv[1:]:\n"
        "    first, *rest = name.split('.')\n"
        "    try: functools.reduce(getattr, rest, known[first])\n"
        "    except AttributeError: print(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *names], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
