"""dropout: what is hidden, how often, and that the generator alone decides."""

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn.shapes import ShapeError

BOTH = [F.dropout, F.dropout2d]


def images(seed=0, dtype=np.float64):
    return np.random.default_rng(seed).uniform(1, 2, (4, 5, 6, 7)).astype(dtype)


def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize("function", BOTH)
@pytest.mark.parametrize("p", [0.25, 0.9])
def test_an_element_is_zero_or_scaled(function, p):
    x = images()
    y = function(x, p, generator=rng()).numpy()
    kept = y != 0
    assert kept.any() and not kept.all()
    np.testing.assert_allclose(y[kept], x[kept] / (1 - p), rtol=1e-15)


def test_whole_channels_go_together():
    y = F.dropout2d(images(), 0.5, generator=rng()).numpy()
    kept = (y != 0).mean(axis=(2, 3))
    assert set(np.unique(kept)) == {0.0, 1.0}


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_the_share_of_zeros_is_p(p):
    count = 100_000
    zeros = (F.dropout(np.ones(count), p, generator=rng()).numpy() == 0).sum()
    deviation = (count * p * (1 - p)) ** 0.5
    assert abs(zeros - count * p) < 4 * deviation


@pytest.mark.parametrize("function", BOTH)
def test_the_same_state_gives_the_same_mask(function):
    x = images()
    first, again = (function(x, generator=rng()).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, again)
    generator = rng()
    one, two = (function(x, generator=generator).numpy() for _ in range(2))
    assert (one != two).any()


@pytest.mark.parametrize("function", BOTH)
def test_the_gradient_has_the_same_mask(function):
    x = mf.tensor(images(), requires_grad=True)
    y = function(x, 0.4, generator=rng())
    gy = mf.tensor(images(1))
    (gx,) = mf.grad(y, x, gy)
    np.testing.assert_allclose(gx.numpy() * x.numpy(), y.numpy() * gy.numpy(), rtol=1e-14)


@pytest.mark.parametrize("function", BOTH)
def test_nothing_is_drawn_where_nothing_is_dropped(function):
    x, generator = mf.tensor(images()), rng()
    assert function(x, 0.5, training=False, generator=generator) is x
    assert function(x, 0.0, generator=generator) is x
    assert function(x, 0.5, training=False) is x
    assert generator.random() == rng().random()


def test_certain_dropout_leaves_nothing():
    y = F.dropout(images(dtype=np.float32), 1.0, generator=rng())
    assert y.dtype == np.float32 and not y.numpy().any()


@pytest.mark.parametrize("function", BOTH)
@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_p_is_a_probability(function, p):
    with pytest.raises(ValueError) as error:
        function(images(), p, generator=rng())
    for fact in (f"{function.__name__}: ", f"p is {p}", "0 to 1"):
        assert fact in str(error.value)


@pytest.mark.parametrize("function", BOTH)
def test_without_a_generator_it_says_how_to_make_one(function):
    with pytest.raises(TypeError) as error:
        function(images())
    for fact in (f"{function.__name__}: ", "generator is None", "numpy.random.default_rng(seed)"):
        assert fact in str(error.value)


@pytest.mark.parametrize("function", BOTH)
def test_whole_numbers_are_refused(function):
    with pytest.raises(TypeError) as error:
        function(np.ones((2, 2, 2, 2), int), generator=rng())
    for fact in (f"{function.__name__}: ", "dtype of x is int64", "floating"):
        assert fact in str(error.value)


def test_channels_need_an_image():
    with pytest.raises(ShapeError) as error:
        F.dropout2d(np.ones((2, 3)), generator=rng())
    for fact in ("dropout2d: ", "x has shape (2, 3)", "N C H W"):
        assert fact in str(error.value)
