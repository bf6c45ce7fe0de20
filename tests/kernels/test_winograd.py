"""Winograd's matrices give the correlation exactly; float32 gives it within what is documented."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from minifcn.kernels.numpy_kernels.conv import grids, taps, winograd, winograd1, winograd2


def exact(matrix: Any) -> list[list[Fraction]]:
    """The fractions that a matrix of floats stands for."""
    rows = [[Fraction(float(a)).limit_denominator(243) for a in row] for row in matrix]
    assert np.array_equal(np.array(rows, dtype=np.float64).astype(matrix.dtype), matrix)
    return rows


def test_the_matrices_are_the_correlation_in_rational_numbers() -> None:
    at, g, bt = exact(winograd.AT), exact(winograd.G), exact(winograd.BT)
    for i in range(4):
        for k in range(6):
            for u in range(3):
                y = sum(at[i][m] * g[m][u] * bt[m][k] for m in range(6))
                assert y == (1 if k == i + u else 0), f"d[{k}] g[{u}] in y[{i}]"


def cook(points: list[Fraction]) -> tuple[Any, Any, Any]:
    """A', G, B' of the points and infinity, by polynomial interpolation, as float64."""
    n = len(points)
    at = [[p**i for p in points] + [Fraction(i == 3)] for i in range(4)]
    g, bt = [], []
    for k, p in enumerate(points):
        others = [q for m, q in enumerate(points) if m != k]
        scale = Fraction(1)
        for q in others:
            scale *= p - q
        g.append([p**u / scale for u in range(3)])
        bt.append([*product(others), Fraction(0)])
    g.append([Fraction(0)] * 2 + [Fraction(1)])
    bt.append(product(points))
    assert len(bt) == n + 1
    a, b, c = (np.array(m, dtype=np.float64) for m in (at, g, bt))
    return a, b, c


def product(roots: list[Fraction]) -> list[Fraction]:
    """The coefficients of prod (x - root), lowest power first."""
    found = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *found], [*found, Fraction(0)]
        found = [a - root * b for a, b in zip(shifted, scaled, strict=True)]
    return found


OURS = [Fraction(a, 4) for a in (0, 3, -3, 6, -6)]
USUAL = [Fraction(a) for a in (0, 1, -1, 2, -2)]


def test_the_matrices_come_from_the_points_that_the_docstring_names() -> None:
    for made, matrix in zip(cook(OURS), (winograd.AT, winograd.G, winograd.BT), strict=True):
        np.testing.assert_allclose(matrix, made, rtol=1e-15)


def test_our_points_are_several_times_as_accurate_as_the_usual_ones() -> None:
    draw = np.random.default_rng(0).standard_normal
    d, w = draw((200, 64, 6, 6)), draw((64, 3, 3))
    exact = sum(
        d[:, :, u : u + 4, v : v + 4] * w[:, u, v, None, None] for u in range(3) for v in range(3)
    )
    errors = []
    for points in (OURS, USUAL):
        at, g, bt = (m.astype(np.float32) for m in cook(points))
        u = g @ w.astype(np.float32) @ g.T
        m = (bt @ d.astype(np.float32) @ bt.T) * u
        y = at @ m.sum(1) @ at.T
        errors.append(np.abs(y - np.sum(exact, 1)).max())
    assert 2.5 * errors[0] < errors[1]


@pytest.mark.parametrize("algorithm", [winograd1, winograd2])
def test_infinity_spreads_no_further_than_its_tile(algorithm: Any) -> None:
    source = np.zeros((14, 14, 1, 1), np.float32)
    source[7, 9] = np.inf
    out = np.empty((12, 12, 1, 1), np.float32)
    with np.errstate(invalid="ignore"):
        algorithm.correlate(source, np.ones((3, 3, 1, 1), np.float32), out)
    finite = np.isfinite(out[:, :, 0, 0])
    assert not finite[5:8, 7:10].any(), "who sees it, says so"
    assert finite[:4].all()
    assert finite[8:].all()
    assert finite[:, :4].all()


def test_image_and_result_matrices_are_exact_in_binary() -> None:
    for matrix in (winograd.AT, winograd.BT):
        for row in exact(matrix):
            for a in row:
                assert a.denominator & (a.denominator - 1) == 0
                assert Fraction(float(a)) == a


def test_the_docstring_shows_the_matrices() -> None:
    text = winograd.__doc__ or ""
    for matrix in (winograd.AT, winograd.G, winograd.BT):
        for row in exact(matrix):
            shown = [str(a) for a in row]
            assert any(line.replace("|", " ").split()[-len(row) :] == shown for line in lines(text))


def lines(text: str) -> list[str]:
    """Each matrix row, by itself where two matrices stand side by side."""
    found = []
    for line in text.splitlines():
        found += [part for part in line.split("|") if part.strip()]
    return found


@pytest.mark.parametrize(("P", "rows"), [(1, 3), (2, 4), (3, 5), (4, 6), (5, 7), (7, 12), (8, 10)])
def test_rows_beyond_the_image_count_as_zeros(P: int, rows: int) -> None:
    x = np.random.default_rng(0).standard_normal((rows, 5)).astype(np.float32)
    tiles = winograd.tiles(P)
    padded = np.zeros((4 * tiles + 2 + rows, 5), np.float32)
    padded[:rows] = x
    made = np.empty((tiles, 6, 5), np.float32)
    winograd.each_tile(winograd.BT, x, made)
    expected = np.array([winograd.BT @ padded[4 * b : 4 * b + 6] for b in range(tiles)])
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("C", [16, 64, 256])
@pytest.mark.parametrize(("algorithm", "bound"), [(winograd1, 2e-6), (winograd2, 5e-6)])
def test_the_documented_accuracy(algorithm: Any, bound: float, C: int) -> None:
    """The bound of the docstring, against taps in float64, itself checked against loops."""
    assert f"within {bound:.0e} of".replace("e-0", "e-") in algorithm.__doc__
    P, Q, N, O = 24, 32, 2, 32
    draw = np.random.default_rng(C).standard_normal
    source = draw((P + 2, Q + 2, N, C)).astype(np.float32)
    w = (draw((3, 3, C, O)) / np.sqrt(9 * C)).astype(np.float32)
    g = draw((P, Q, N, O)).astype(np.float32)
    y = np.empty((P, Q, N, O))
    taps.correlate(source.astype(np.float64), w.astype(np.float64), y)
    gw = taps.correlate_weight(source.astype(np.float64), g.astype(np.float64), (3, 3), (P, Q))
    out = np.empty((P, Q, N, O), np.float32)
    algorithm.correlate(source, w, out)
    made = algorithm.correlate_weight(source, g, (3, 3), (P, Q))
    assert np.abs(out - y).max() < bound * np.abs(y).max()
    assert np.abs(made - gw).max() < bound * np.abs(gw).max()


@pytest.mark.parametrize("dense", [winograd1, winograd2])
@pytest.mark.parametrize("size", [(13, 11), (3, 10), (2, 1), (8, 8), (5, 4)])
@pytest.mark.parametrize("dilation", [(4, 4), (2, 3), (1, 5), (7, 1)])
def test_sub_grids_of_unlike_sizes_share_a_batch_and_none_reads_what_was_there_before(
    dense: Any, size: Any, dilation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory comes filled with NaN; sums are float64, tap by tap."""
    monkeypatch.setattr(grids, "buffer", lambda shape, dtype: np.full(shape, np.nan, dtype))
    rng = np.random.default_rng(0)
    (P, Q), (d, e), (N, C, O) = size, dilation, (2, 5, 6)
    source = rng.standard_normal((P + 2 * d, Q + 2 * e, N, C)).astype(np.float32)
    w, g = (rng.standard_normal(s).astype(np.float32) for s in ((3, 3, C, O), (P, Q, N, O)))
    y, gw = np.zeros((P, Q, N, O)), np.zeros((3, 3, C, O))
    for u in range(3):
        for v in range(3):
            seen = source[u * d : u * d + P, v * e : v * e + Q].astype(np.float64)
            y += seen @ w[u, v]
            gw[u, v] = np.einsum("ijnc,ijno->co", seen, g)
    out = np.empty((P, Q, N, O), np.float32)
    grids.correlate(dense, source, w, out, dilation)
    np.testing.assert_allclose(out, y, atol=1e-5 * np.abs(y).max())
    made = grids.correlate_weight(dense, source, g, (3, 3), size, dilation)
    np.testing.assert_allclose(made, gw, atol=1e-5 * np.abs(gw).max())
