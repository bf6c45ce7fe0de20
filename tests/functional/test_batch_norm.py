"""batch_norm: its invariances, its running statistics, and what it refuses."""

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn.shapes import ShapeError
from minifcn.versions import VersionError

SHAPES = [(6, 3), (4, 2, 5), (3, 4, 5, 2), (2, 2, 3, 2, 2)]


def case(shape, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return (3 * rng.standard_normal(shape) + 5).astype(dtype)


def axes(x):
    return (0, *range(2, x.ndim))


def column(values, x):
    return np.reshape(values, (1, -1, *(1,) * (x.ndim - 2)))


def train(x, weight=None, bias=None, **options):
    return F.batch_norm(x, None, None, weight, bias, training=True, **options)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_channel_gets_mean_0_and_variance_1(shape):
    x = case(shape)
    y = train(x, eps=0.0).numpy()
    np.testing.assert_allclose(y.mean(axes(x)), 0, atol=1e-14)
    np.testing.assert_allclose(y.var(axes(x)), 1, rtol=1e-13)


def test_eps_joins_the_variance():
    x = case((5, 2))
    np.testing.assert_allclose(
        train(x, eps=0.5).numpy().var(0), x.var(0) / (x.var(0) + 0.5), rtol=1e-12
    )


def test_weight_and_bias_are_the_new_deviation_and_mean():
    x, weight, bias = case((4, 3, 2, 2)), np.array([2.0, 0.5, -1.0]), np.array([7.0, -8.0, 0.0])
    y = train(x, weight, bias, eps=0.0).numpy()
    np.testing.assert_allclose(y.mean(axes(x)), bias, atol=1e-13)
    np.testing.assert_allclose(y.std(axes(x)), np.abs(weight), rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_units_and_origin_of_a_channel_do_not_matter(shape):
    x = case(shape)
    scale, shift = np.linspace(0.5, 2, shape[1]), np.linspace(-9, 9, shape[1])
    other = x * column(scale, x) + column(shift, x)
    np.testing.assert_allclose(train(other, eps=0.0).numpy(), train(x, eps=0.0).numpy(), atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_so_the_gradient_is_orthogonal_to_both(shape):
    x = mf.tensor(case(shape), requires_grad=True)
    (gx,) = mf.grad(train(x, eps=0.0), x, mf.tensor(case(shape, seed=1)))
    np.testing.assert_allclose(gx.numpy().sum(axes(x)), 0, atol=1e-12)
    np.testing.assert_allclose((gx.numpy() * x.numpy()).sum(axes(x)), 0, atol=1e-12)


def test_a_large_mean_does_not_cancel():
    """Mean 10,000 and deviation 1 in float32: E[x^2] - E[x]^2 would be off by some units."""
    noise = np.random.default_rng(0).standard_normal((8, 3, 20, 20))
    x = (10_000 + noise).astype(np.float32)
    exact = x.astype(np.float64)
    mean, var = mf.tensor(np.zeros(3, np.float32)), mf.tensor(np.ones(3, np.float32))
    y = F.batch_norm(x, mean, var, training=True, momentum=1.0, eps=0.0)
    assert y.dtype == np.float32
    np.testing.assert_allclose(var.numpy(), exact.var(axes(x), ddof=1), rtol=2e-6)
    half_a_step = np.spacing(np.float32(10_000)) / 2  # the mean itself is rounded to float32
    np.testing.assert_allclose(mean.numpy(), exact.mean(axes(x)), atol=1.01 * half_a_step, rtol=0)
    wanted = (exact - column(exact.mean(axes(x)), x)) / column(exact.std(axes(x)), x)
    np.testing.assert_allclose(y.numpy(), wanted, atol=1.1 * half_a_step, rtol=1e-5)


def test_a_constant_channel_stays_at_the_bias():
    x = np.full((3, 2, 4, 4), 1e4 + 0.1, np.float32)
    y = train(x, bias=np.array([0.0, 2.0], np.float32)).numpy()
    np.testing.assert_array_equal(y, np.broadcast_to(column([0, 2], x), x.shape))


def test_without_eps_a_constant_channel_is_nan_and_the_others_are_not():
    x = case((4, 2, 3))
    x[:, 0] = 7
    y = train(x, eps=0.0).numpy()
    assert np.isnan(y[:, 0]).all() and np.isfinite(y[:, 1]).all()


@pytest.mark.parametrize("momentum", [0.0, 0.1, 1.0])
def test_running_statistics_move_by_momentum(momentum):
    x = case((4, 3, 2, 5))
    mean, var = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
    running_mean, running_var = mf.tensor(mean), mf.tensor(var)
    F.batch_norm(x, running_mean, running_var, training=True, momentum=momentum)
    np.testing.assert_allclose(
        running_mean.numpy(), (1 - momentum) * mean + momentum * x.mean(axes(x)), rtol=1e-13
    )
    np.testing.assert_allclose(
        running_var.numpy(), (1 - momentum) * var + momentum * x.var(axes(x), ddof=1), rtol=1e-13
    )


def test_inference_uses_the_running_statistics_and_leaves_them():
    x, mean, var = case((2, 3, 4, 4)), np.array([1.0, -2.0, 0.0]), np.array([4.0, 1.0, 0.25])
    weight, bias = np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, -1.0])
    running_mean, running_var = mf.tensor(mean), mf.tensor(var)
    y = F.batch_norm(x, running_mean, running_var, weight, bias, eps=0.1).numpy()
    wanted = (x - column(mean, x)) / np.sqrt(column(var, x) + 0.1)
    np.testing.assert_allclose(y, wanted * column(weight, x) + column(bias, x), rtol=1e-12)
    assert running_mean.tolist() == mean.tolist() and running_var.tolist() == var.tolist()


def test_training_is_inference_with_the_statistics_of_the_batch():
    x = case((3, 4, 2, 2))
    y = F.batch_norm(x, x.mean(axes(x)), x.var(axes(x)))
    np.testing.assert_allclose(y.numpy(), train(x).numpy(), rtol=1e-11, atol=1e-13)


def test_in_inference_every_pixel_goes_its_own_way():
    x = mf.tensor(case((2, 1, 3, 3)), requires_grad=True)
    gy = np.zeros(x.shape)
    gy[1, 0, 2, 1] = 1
    y = F.batch_norm(x, np.zeros(1), np.array([4.0]), eps=0.0)
    (gx,) = mf.grad(y, x, mf.tensor(gy))
    np.testing.assert_array_equal(gx.numpy(), gy / 2)


def test_a_batch_of_nothing_leaves_the_statistics_alone():
    x, weight = np.zeros((0, 2, 3, 3)), mf.tensor(np.ones(2), requires_grad=True)
    mean, var = mf.tensor(np.array([1.0, 2.0])), mf.tensor(np.array([3.0, 4.0]))
    y = F.batch_norm(x, mean, var, weight, training=True)
    assert y.shape == x.shape
    assert (mean.tolist(), var.tolist()) == ([1, 2], [3, 4])
    (gw,) = mf.grad(y.sum(), weight)
    assert gw.tolist() == [0, 0]


def test_statistics_changed_before_the_backward_pass_are_noticed():
    weight = mf.tensor(np.ones(1), requires_grad=True)
    mean, var = mf.tensor(np.zeros(1)), mf.tensor(np.ones(1))
    y = F.batch_norm(case((4, 1)), mean, var, weight)
    F.batch_norm(case((4, 1)), mean, var, training=True)
    with pytest.raises(VersionError, match="channel_affine"):
        y.sum().backward()


class TestErrors:
    def refused(self, kind, *args, facts=(), **kwargs):
        with pytest.raises(kind) as error:
            F.batch_norm(*args, **kwargs)
        for fact in ("batch_norm: ", *facts):
            assert fact in str(error.value), str(error.value)
        assert not str(error.value).endswith(".")

    def test_one_value_per_channel(self):
        facts = "(1, 3, 1, 1)", "1 value per channel", "at least 2", "training"
        x = np.zeros((1, 3, 1, 1))
        self.refused(ShapeError, x, None, None, training=True, facts=facts)

    def test_no_running_statistics(self):
        facts = "running_var is None", "training is False", "3 values"
        self.refused(ValueError, np.zeros((2, 3)), np.zeros(3), None, facts=facts)

    @pytest.mark.parametrize("place", range(4))
    def test_a_vector_for_other_channels(self, place):
        name = ("running_mean", "running_var", "weight", "bias")[place]
        vectors = [np.ones(3) for _ in range(4)]
        vectors[place] = np.ones(4)
        for training in (False, True):
            facts = f"{name} has shape (4,)", "axis 1 (C) of x is 3", "expected (3,)"
            self.refused(ShapeError, case((2, 3, 2, 2)), *vectors, training=training, facts=facts)

    def test_mixed_dtypes(self):
        facts = "dtype of weight is float64", "dtype of x is float32", "astype"
        x = case((4, 2), dtype=np.float32)
        self.refused(TypeError, x, None, None, np.ones(2), training=True, facts=facts)

    def test_no_channel_axis(self):
        facts = "x has shape (5,)", "N C H W"
        self.refused(ShapeError, np.zeros(5), None, None, training=True, facts=facts)

    def test_whole_numbers(self):
        facts = "dtype of x is int64", "floating"
        self.refused(TypeError, np.zeros((2, 3), int), None, None, training=True, facts=facts)
