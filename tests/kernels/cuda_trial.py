"""For the tests of the emulator: one small kernel from a text, launched, and what it wrote."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cuda_emu import Cuda

ROOT = Path(__file__).resolve().parents[2]


def emulated(cuda: Cuda) -> None:
    if cuda.kind != "emulator":
        pytest.skip("only the emulator reports this")


def launch(
    source: str, *arguments: Any, grid: Any = (1,), block: Any = (64,), shared: int = 0
) -> None:
    """The one kernel of a source, called `k`."""
    import cupy

    function = cupy.RawModule(code=source, options=("-std=c++17",)).get_function("k")
    function.max_dynamic_shared_size_bytes = max(shared, 48 << 10)
    function(grid, block, arguments, shared_mem=shared)


def on_device(array: Any) -> Any:
    import cupy

    return cupy.asarray(array)


def result_of(source: str, *arguments: Any, size: int = 64, dtype: str = "i4", **how: Any) -> Any:
    """What the kernel wrote into its first argument."""
    y = on_device(np.full(size, -1, dtype))
    launch(source, y, *arguments, **how)
    return y.get()


def kernel(body: str, parameters: str = "int* y") -> str:
    return f'extern "C" __global__ void k({parameters}) {{\n  int t = threadIdx.x;\n  {body}\n}}\n'


HALVES = """
#ifndef CUDA_EMU
#include <cuda_fp16.h>
#include <cuda_bf16.h>
#endif
"""


def ptx() -> str:
    """The package's own header, which is empty for the emulator."""
    text = (ROOT / "minifcn" / "kernels" / "cuda" / "ptx.cuh").read_text("utf-8")
    return HALVES + text.replace("#pragma once", "")


COPY = """
  __shared__ __align__(16) float s[2][64];
  if (t < 16) cp_async16(&s[0][4 * t], x + 4 * t, t < 12 ? 16 : t == 12 ? 4 : 0);
  cp_async_commit();
  if (t < 16) cp_async16(&s[1][4 * t], x + 4 * t, 16);
  cp_async_commit();
  %s
  __syncthreads();
  y[t] = s[0][t];
"""
