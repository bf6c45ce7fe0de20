"""The contract of the dense correlations: every algorithm, any size, no pixel too many."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifcn.kernels.numpy_kernels.conv import taps, winograd1, winograd2
from minifcn.kernels.numpy_kernels.memory import memory_counts

ALGORITHMS = (taps, winograd1, winograd2)

# Rounding, relative to what a result is at most: (largest |source|) (sum of |w|), or the like.
ROUNDING = 2e-6


def name_of(algorithm: ModuleType) -> str:
    return algorithm.__name__.rsplit(".", 1)[1]


def correlated(source: Any, w: Any, size: tuple[int, int]) -> Any:
    """The formula, output pixel by output pixel, in float64."""
    out = np.zeros((*size, source.shape[2], w.shape[3]))
    source, w = source.astype(np.float64), w.astype(np.float64)
    for i in range(size[0]):
        for j in range(size[1]):
            for u in range(3):
                for v in range(3):
                    out[i, j] += source[i + u, j + v] @ w[u, v]
    return out


def correlated_weight(source: Any, g: Any, size: tuple[int, int]) -> Any:
    w = np.zeros((3, 3, source.shape[3], g.shape[3]))
    source, g = source.astype(np.float64), g.astype(np.float64)
    for i in range(size[0]):
        for j in range(size[1]):
            for u in range(3):
                for v in range(3):
                    w[u, v] += source[i + u, j + v].T @ g[i, j]
    return w


def within(shape: tuple[int, ...], far: tuple[int, int], fill: float, seed: int) -> Any:
    """Random numbers, part of a larger array of `fill`: rows in one piece, but far apart."""
    H, W, N, C = shape
    big = np.full((H + 2 + far[0], W + 3 + far[1], N, C), fill, np.float32)
    part = big[1 : H + 1, 2 : W + 2]
    part[...] = np.random.default_rng(seed).standard_normal(shape)
    return big[1:, 2:]


sizes = st.tuples(st.integers(0, 14), st.integers(0, 14))
channels = st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 5))
beyond = st.tuples(st.integers(0, 5), st.integers(0, 5))


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=name_of)
@given(sizes, channels, beyond)
def test_out_is_the_correlation_and_no_pixel_more(
    algorithm: ModuleType,
    size: tuple[int, int],
    channels: tuple[int, int, int],
    beyond: tuple[int, int],
) -> None:
    (P, Q), (N, C, O) = size, channels
    source = within((P + 2, Q + 2, N, C), beyond, np.nan, 0)  # what lies beyond is not looked at
    w = np.random.default_rng(1).standard_normal((3, 3, C, O)).astype(np.float32)
    poisoned = np.full((P + 3, Q + 4, N, O), 7, np.float32)
    out = poisoned[1 : P + 1, 1 : Q + 1]
    algorithm.correlate(source, w, out)
    seen = source[: P + 2, : Q + 2]
    scale = np.abs(seen).max(initial=0) * np.abs(w).sum((0, 1, 2)).max(initial=0)
    np.testing.assert_allclose(out, correlated(seen, w, size), rtol=0, atol=ROUNDING * scale)
    out[...] = 7
    assert (poisoned == 7).all(), "written outside"


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=name_of)
@given(sizes, channels, beyond)
def test_the_weight_is_the_sum_over_all_pixels_and_no_more(
    algorithm: ModuleType,
    size: tuple[int, int],
    channels: tuple[int, int, int],
    beyond: tuple[int, int],
) -> None:
    (P, Q), (N, C, O) = size, channels
    source = within((P + 2, Q + 2, N, C), beyond, np.nan, 0)
    g = within((P, Q, N, O), beyond[::-1], np.nan, 1)
    w = algorithm.correlate_weight(source, g, (3, 3), size)
    assert w.shape == (3, 3, C, O)
    assert w.dtype == np.float32
    total = np.abs(g[:P, :Q]).sum((0, 1, 2)).max(initial=0)
    scale = np.abs(source[: P + 2, : Q + 2]).max(initial=0) * total
    expected = correlated_weight(source, g, size)
    np.testing.assert_allclose(w, expected, rtol=0, atol=ROUNDING * scale)


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=name_of)
@pytest.mark.parametrize("shape", [(45, 61, 4, 32, 24), (70, 9, 1, 3, 40), (5, 300, 2, 40, 3)])
def test_images_of_many_tiles(algorithm: ModuleType, shape: tuple[int, int, int, int, int]) -> None:
    P, Q, N, C, O = shape
    source = within((P + 2, Q + 2, N, C), (0, 0), np.nan, 0)[: P + 2, : Q + 2]
    w = np.random.default_rng(1).standard_normal((3, 3, C, O)).astype(np.float32)
    g = within((P, Q, N, O), (0, 0), np.nan, 2)[:P, :Q]
    out = np.empty((P, Q, N, O), np.float32)
    algorithm.correlate(source, w, out)
    expected = correlated(source, w, (P, Q))
    assert np.abs(out - expected).max() < 5e-6 * np.abs(expected).max()
    made = algorithm.correlate_weight(source, g, (3, 3), (P, Q))
    expected = correlated_weight(source, g, (P, Q))
    assert np.abs(made - expected).max() < 5e-6 * np.abs(expected).max()


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=name_of)
@pytest.mark.parametrize(("C", "O"), [(1, 1), (1, 4), (4, 1), (3, 5), (8, 8)])
@pytest.mark.parametrize("flipped", [False, True])
def test_the_weight_may_lie_in_any_order(
    algorithm: ModuleType, C: int, O: int, flipped: bool
) -> None:
    """The formula's order is KH KW C O; a layer keeps O C KH KW; the adjoint walks it backwards."""
    source = within((9, 7, 2, C), (0, 0), np.nan, 0)[:9, :7]
    given = np.random.default_rng(1).standard_normal((3, 3, C, O)).astype(np.float32)
    expected = correlated(source, given, (7, 5))
    for order in ((0, 1, 2, 3), (3, 2, 0, 1), (2, 3, 0, 1), (0, 1, 3, 2)):
        turned = given[::-1, ::-1] if flipped else given
        lying = np.ascontiguousarray(turned.transpose(order)).transpose(np.argsort(order))
        w = lying[::-1, ::-1] if flipped else lying
        out = np.empty((7, 5, 2, O), np.float32)
        algorithm.correlate(source, w, out)
        np.testing.assert_allclose(out, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=name_of)
def test_the_memory_of_a_call_serves_the_next(algorithm: ModuleType) -> None:
    source = within((42, 52, 2, 16), (0, 0), np.nan, 0)[:42, :52]
    g = within((40, 50, 2, 24), (0, 0), np.nan, 1)[:40, :50]
    w = np.random.default_rng(1).standard_normal((3, 3, 16, 24)).astype(np.float32)
    out = np.empty((40, 50, 2, 24), np.float32)
    fresh = []
    for _ in range(3):
        algorithm.correlate(source, w, out)
        algorithm.correlate_weight(source, g, (3, 3), (40, 50))
        fresh.append(memory_counts()["fresh"])
    assert fresh[1] == fresh[2]


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=name_of)
def test_the_same_call_gives_the_same_bits(algorithm: ModuleType) -> None:
    source = within((23, 31, 3, 7), (0, 0), np.nan, 0)[:23, :31]
    g = within((21, 29, 3, 5), (0, 0), np.nan, 1)[:21, :29]
    first = algorithm.correlate_weight(source, g, (3, 3), (21, 29)).copy()
    assert np.array_equal(algorithm.correlate_weight(source, g, (3, 3), (21, 29)), first)
