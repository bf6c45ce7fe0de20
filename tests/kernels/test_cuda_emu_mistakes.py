"""The emulator of tests/cuda_emu: which mistakes in kernels it finds, and what it says of them."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tests.cuda_emu import Cuda, build, sanitize
from tests.kernels.cuda_trial import COPY, ROOT, emulated, kernel, on_device, ptx, result_of

MISTAKES = {
    "a divergent barrier": (
        "if (t < 20) __syncthreads(); y[t] = 1;",
        r"deadlock: __syncthreads not reached by 44 of 64 threads \(block 0,0,0\)",
    ),
    "a shuffle of absent lanes": (
        "if (t < 20) y[t] = __shfl_xor_sync(~0u, t, 1);",
        "deadlock: lane 0 waits in a shuffle for lanes that left, or that sit at __syncthreads",
    ),
    "a lane outside of its own mask": (
        "y[t] = __shfl_xor_sync(0xFFFFu, t, 1);",
        "a shuffle by a lane that is not in its own mask",
    ),
    "reading a lane outside of the mask": (
        "if (t < 2) y[t] = __shfl_sync(3u, t, 5);",
        "a shuffle reads a lane that is not in the mask",
    ),
    "different masks": (
        "y[t] = __shfl_xor_sync(t % 32 == 5 ? ~0u : 0xFFFFFFDFu, t, 1);",
        "different masks|not in the mask|deadlock",
    ),
    "different operations": (
        "if (t % 2) __syncwarp(); else y[t] = __any_sync(~0u, t);",
        "lanes of one warp wait in different operations",
    ),
    "a write behind an array": ("y[t + 1] = 1;", "k wrote beyond the end of an array"),
    "a write before an array": ("y[t - 1] = 1;", "k wrote beyond the end of an array"),
    "a row of ldmatrix at an odd place": (
        "__shared__ __align__(16) short s[512]; unsigned r[4]; ldmatrix_x4(r, s + 1);",
        "ldmatrix: the address of a row is no multiple of 16",
    ),
    "an asynchronous copy to an odd place": (
        "__shared__ __align__(16) int s[512]; cp_async16(s + 1, y, 16);",
        "cp.async: an address is no multiple of 16",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_reported(cuda: Cuda, mistake: str) -> None:
    emulated(cuda)
    body, said = MISTAKES[mistake]
    with pytest.raises(RuntimeError, match=said):
        result_of(ptx() + kernel(body))
    assert result_of(kernel("y[t] = t;")).tolist() == list(range(64)), "the next launch is sound"


def test_a_missing_barrier_shows_in_some_order(cuda: Cuda) -> None:
    """Threads run one after the other, so a race is nan in the results of at least one order."""
    emulated(cuda)
    body = "__shared__ float s[64]; s[t] = t; %s y[t] = s[63 - t];"
    for barrier, right in (("__syncthreads();", True), ("", False)):
        got = result_of(kernel(body % barrier, "float* y"), dtype="f4")
        assert (not np.isnan(got).any()) == right


def test_memory_that_nobody_wrote_is_nan(cuda: Cuda) -> None:
    import cupy

    emulated(cuda)
    assert np.isnan(cupy.empty((3, 2), "f4").get()).all()
    assert (cupy.empty(3, "i4").get() == -1).all()
    for shared in ("__shared__ float s[64];", "extern __shared__ float s[];"):
        source = kernel(f"{shared} y[t] = s[t];", "float* y")
        assert np.isnan(result_of(source, dtype="f4", shared=256)).all()


@pytest.mark.parametrize("order", [1, 2, 3])
def test_orders_change_who_comes_first(cuda: Cuda, order: int, monkeypatch: Any) -> None:
    """The last writer wins: the last block unless they run backwards."""
    emulated(cuda)
    monkeypatch.setattr(build, "ORDER", order)
    got = result_of(kernel("y[0] = t % 32; y[1] = t / 32; y[2] = blockIdx.x;"), grid=(5,))
    assert got[:3].tolist() == [
        0 if order & 2 else 31,
        0 if order & 1 else 1,
        0 if order & 1 else 4,
    ]


CHILD = """
import sys, numpy as np, tests.cuda_emu.on, cupy
k = cupy.RawModule(code=sys.argv[1]).get_function("k")
k((1,), (64,), (cupy.asarray(np.zeros(64, "f4")),))
print("sound")
"""

SOUND = "__shared__ float s[64]; s[t] = t; __syncthreads(); atomicAdd(y, s[63 - t]);"


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("thread", "__shared__ float s[64]; s[t] = t; y[t] = s[63 - t];", "data race"),
        ("thread", SOUND, "sound"),
        ("address", "y[t] = y[t + 1];", "heap-buffer-overflow"),
        ("address", "__shared__ float s[64]; s[t + 1] = t; y[t] = s[t];", "out of bounds"),
        ("address", "float4 v = *(const float4*)(y + 1); y[t] = v.x;", "misaligned"),
        ("address", SOUND, "sound"),
    ],
)
def test_sanitizers_see_kernels(cuda: Cuda, kind: str, body: str, said: str) -> None:
    """In a process of its own each, as the sanitizer must be loaded first."""
    emulated(cuda)
    try:
        environment = sanitize.environment(kind)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, kernel(body, "float* y")],
        cwd=ROOT, env=environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        preexec_fn=sanitize.same_addresses,
    )  # fmt: skip
    assert said in done.stdout + done.stderr
    assert (done.returncode == 0) == (said == "sound")


def test_a_copy_that_nobody_waits_for_comes_late(cuda: Cuda) -> None:
    emulated(cuda)
    source = ptx() + kernel(COPY % "cp_async_wait<2>();", "float* y, const float* x")
    assert np.isnan(result_of(source, on_device(np.ones(64, "f4")), dtype="f4")).all()
