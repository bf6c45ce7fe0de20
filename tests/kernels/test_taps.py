"""Products of shifted images: any kernel and dilation, exact in float64."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minifcn.kernels.numpy_kernels.conv import taps

pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
sizes = st.tuples(st.integers(1, 7), st.integers(1, 7))
channels = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
types = st.sampled_from([np.float32, np.float64])

ROUNDING: dict[Any, float] = {np.float32: 1e-6, np.float64: 1e-14}


def drawn(shape: tuple[int, ...], dtype: Any, seed: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@given(pairs, sizes, pairs, channels, types)
def test_any_kernel_and_dilation(
    kernel: tuple[int, int],
    size: tuple[int, int],
    dilation: tuple[int, int],
    channels: tuple[int, int, int],
    dtype: Any,
) -> None:
    (KH, KW), (P, Q), (N, C, O) = kernel, size, channels
    H, W = (s + d * (k - 1) for s, d, k in zip(size, dilation, kernel, strict=True))
    source, w = drawn((H, W, N, C), dtype, 0), drawn((KH, KW, C, O), dtype, 1)
    g, out = drawn((P, Q, N, O), dtype, 2), np.empty((P, Q, N, O), dtype)
    y, gw = np.zeros(out.shape), np.zeros(w.shape)
    for i in range(P):
        for j in range(Q):
            for u in range(KH):
                for v in range(KW):
                    x = source[i + dilation[0] * u, j + dilation[1] * v].astype(np.float64)
                    y[i, j] += x @ w[u, v]
                    gw[u, v] += x.T @ g[i, j]
    taps.correlate(source, w, out, dilation)
    made = taps.correlate_weight(source, g, kernel, size, dilation)
    assert made.dtype == dtype
    count = KH * KW * C * P * Q * N
    np.testing.assert_allclose(out, y, rtol=0, atol=ROUNDING[dtype] * count)
    np.testing.assert_allclose(made, gw, rtol=0, atol=ROUNDING[dtype] * count)


@given(st.integers(1, 400), st.integers(1, 20000), st.integers(1, 1 << 16))
def test_tiles_cover_every_pixel_once(P: int, QN: int, size: int) -> None:
    P = min(P, 1 + 200_000 // QN)
    seen = np.zeros((P, QN), np.int8)
    for i, j in taps.tiles(P, QN, size):
        seen[i, j] += 1
        pixels = (i.stop - i.start) * (j.stop - j.start)
        assert pixels <= max(taps.CACHE // size, taps.LEAST)
    assert (seen == 1).all()
