"""What the host decides for a convolution on a GPU: the way, the tile, the phases of a stride."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minifcn as mf
from minifcn import Window
from minifcn.kernels.cupy_kernels import tiles
from minifcn.kernels.cupy_kernels.conv.choose import WAYS, choose
from minifcn.kernels.cupy_kernels.conv.problem import Problem
from minifcn.kernels.cupy_kernels.structs import phases_struct

pytestmark = pytest.mark.parametrize("device", ["cuda"])

OURS = ("plain", "depthwise", "im2col")


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 9))
def test_the_first_tap_of_a_phase_is_solved_for(device: str, s: int, d: int, p: int) -> None:
    """d u = a + p modulo s  has the solution that conv.cuh computes, or none."""
    window = Window((9, 9), (9, 9), (5, 5), (s, s), (d, d), (p, p))
    period, _, inverse, _ = phases_struct(window).item()
    gcd = s // period
    for a in range(s):
        solutions = [u for u in range(s) if (d * u - a - p) % s == 0]
        first = (a + p) // gcd * inverse % period
        assert solutions == ([] if (a + p) % gcd else list(range(first, s, period)))


@given(
    st.integers(1, 10**7), st.integers(1, 5000), st.integers(1, 64), st.sampled_from([1, 4]),
    st.sampled_from([1, 4]), st.sampled_from(["float64", "float32", "float16"]),
)  # fmt: skip
def test_a_tile_fits_its_registers(
    device: str, rows: int, columns: int, batch: int, a: int, b: int, dtype: str
) -> None:
    made = tiles.tile_for(rows, columns, batch, np.dtype(dtype), (a, b))
    sums = made.ROWS * made.COLS // made.THREADS
    assert sums <= {"float64": 16}.get(dtype, 64 if a == b == 4 else 32)
    assert made.blocks(rows, columns) * made.ROWS * made.COLS >= rows * columns


def test_the_way_follows_from_the_shapes(device: str) -> None:
    def way(C: int, O: int, groups: int, dtype: str, forced: str | None = None) -> str:
        window = Window.for_conv("test", (8, 8), (3, 3), groups=groups)
        return choose(Problem("conv2d", 2, C, O, window, np.dtype(dtype)), forced)

    assert way(32, 32, 32, "float32") == way(32, 64, 32, "float16") == "depthwise"
    assert way(32, 32, 1, "float32") == way(512, 512, 2, "float64") == "plain"
    assert way(32, 32, 1, "float32", "im2col") == "im2col"
    assert way(32, 32, 1, "float32", "depthwise") == "plain", "forced where it does not fit"
    assert way(32, 32, 1, "float32", "winograd2") == "plain", "of the other twin"


def test_a_way_is_forced_by_its_name(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def told(name: str) -> Callable[..., Any]:
        real = WAYS[name].conv2d

        def conv2d(*given: Any) -> Any:
            taken.append(name)
            return real(*given)

        return conv2d

    for name in OURS:
        monkeypatch.setattr(WAYS[name], "conv2d", told(name))
    x = mf.tensor(np.ones((1, 4, 5, 5), np.float32), device=device)
    w = mf.tensor(np.ones((4, 2, 3, 3), np.float32), device=device)
    for name in OURS:
        with mf.conv_algorithm(name):
            mf.functional.conv2d(x, w, groups=2)
    assert taken == list(OURS)
