"""Verdicts are right on planted faults of any shape, and never invented for noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifcn.checks.verdict import UNKNOWN, verdict

shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
seeds = st.integers(0, 10_000)


def numeric(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def judge(analytic: np.ndarray, n: np.ndarray, **more: dict[str, np.ndarray]) -> str:
    return verdict(np.asarray(analytic), n, 1e-5 + 1e-3 * np.abs(n), **more)


@given(shapes, seeds)
def test_noise_has_no_pattern(shape: tuple[int, ...], seed: int) -> None:
    """Another random array is no sign, no factor, no transpose, no missing term of this one."""
    n, noise = numeric(shape, seed), numeric(shape, seed + 1_000_000)
    x, u = numeric(shape, seed + 2_000_000), numeric(shape, seed + 3_000_000)
    found = judge(noise, n, slices={"slice": 2 * x}, bases={"x": x, "the upstream gradient": u})
    if n.size >= 2:
        assert found.startswith(UNKNOWN)
    else:
        assert found.startswith(UNKNOWN) or "factor" in found, "one number: perhaps -1, 2 or 1/2"


@given(shapes, seeds, st.sampled_from([2.0, 0.5, 3.0, 0.25, -2.0, 1.25]))
def test_signs_and_factors(shape: tuple[int, ...], seed: int, factor: float) -> None:
    n = numeric(shape, seed) + 3
    assert judge(-n, n) == "sign"
    said = {2.0: "2", 0.5: "1/2", 3.0: "3", 0.25: "1/4", -2.0: "-2"}
    if factor in said:
        assert judge(factor * n, n) == f"off by a factor {said[factor]}"
    elif n.size > 1:
        assert judge(factor * n, n) == "off by a factor 1.25"


@given(shapes, seeds)
def test_zero_says_detached_and_counts(shape: tuple[int, ...], seed: int) -> None:
    n = numeric(shape, seed) + 3
    assert judge(0 * n, n) == "zero where it should not be (detached?)"
    if n.size > 1:
        a = n.copy()
        a.flat[0] = 0
        assert judge(a, n) == f"zero where it should not be (detached?) in 1 of {n.size} elements"


def test_what_should_be_zero_is_said_to() -> None:
    n = numeric((3, 4), 0) * (numeric((3, 4), 1) > 0)
    a = numeric((3, 4), 0)
    count = int((n == 0).sum())
    assert 0 < count < 12
    assert judge(a, n) == f"not zero where it should be in {count} of 12 elements"


@given(st.integers(2, 4), seeds)
def test_square_and_oblong_transposes(size: int, seed: int) -> None:
    square, oblong = numeric((size, size), seed), numeric((size, size + 1), seed)
    assert "axes 0, 1" in judge(square.T, square) and "transposed" in judge(square.T, square)
    assert "transposed" in judge(oblong.T.reshape(oblong.shape), oblong)
    kernel = numeric((2, 3, size, size), seed)
    assert judge(kernel.swapaxes(2, 3), kernel).startswith("transposed: axes 2, 3")


@pytest.mark.parametrize(("axes", "said"), [((2,), "axis 2"), ((2, 3), "axes 2, 3")])
def test_a_flipped_kernel_is_mirrored(axes: tuple[int, ...], said: str) -> None:
    n = numeric((2, 3, 3, 3), 0)
    assert judge(np.flip(n, axes), n) == f"mirrored along {said}"


@pytest.mark.parametrize("step", [-1, 1])
def test_a_crop_off_by_one_is_shifted(step: int) -> None:
    n = numeric((2, 3, 6, 5), 0)
    shifted = np.roll(n, step, axis=2)
    shifted[:, :, 0 if step == 1 else -1] = 0
    assert "along axis 2" in judge(shifted, n) and "shifted" in judge(shifted, n)


def test_a_sum_too_many() -> None:
    n = numeric((3, 4), 0)
    summed = np.broadcast_to(n.sum(axis=0), (3, 4))
    assert judge(summed, n) == "summed over axis 0, which should stay"


@given(seeds)
def test_batch_norm_without_its_mean_terms(seed: int) -> None:
    """gx = (g - mean g - xhat mean(g xhat)) / s; without the means, s + t x is left per channel."""
    x, g = numeric((4, 2, 3, 3), seed) * 2 + 1, numeric((4, 2, 3, 3), seed + 1)
    axes = (0, 2, 3)
    scale = x.std(axis=axes, keepdims=True)
    xhat = (x - x.mean(axis=axes, keepdims=True)) / scale
    mean = g.mean(axis=axes, keepdims=True)
    slope = (g * xhat).mean(axis=axes, keepdims=True)
    right = (g - mean - xhat * slope) / scale
    said = judge(g / scale, right, bases={"x": x})
    assert said == "a term is missing: what is left over is s + t x along axes 0, 2, 3"
    said = judge((g - xhat * slope) / scale, right, bases={"x": x})
    assert said == "a term is missing: what is left over is constant, one number along axes 0, 2, 3"


@given(seeds)
def test_softmax_without_its_sum(seed: int) -> None:
    """gx = y (g - sum(g y)); forgetting the sum leaves a multiple of y along the class axis."""
    g, e = numeric((3, 5), seed), np.exp(numeric((3, 5), seed + 1))
    y = e / e.sum(axis=1, keepdims=True)
    right = y * (g - (g * y).sum(axis=1, keepdims=True))
    said = judge(g * y, right, bases={"x": np.log(e), "y": y, "the upstream gradient": g})
    assert (
        said == "a term is missing: what is left over is a multiple of y, one number along axis 1"
    )


def test_the_place_is_said_when_no_pattern_fits() -> None:
    n = numeric((3, 4, 5), 0)
    a = n.copy()
    a[:, 2] = numeric((3, 5), 1)
    assert judge(a, n) == f"{UNKNOWN}; wrong only where axis 1 is 2"


def test_nan_says_whose() -> None:
    n = numeric((3,), 0)
    assert judge(n * np.nan, n) == "nan: the analytic gradient"
    assert judge(n * np.inf, n) == "infinite: the analytic gradient"
    assert "numeric" in judge(n, n * np.nan)
