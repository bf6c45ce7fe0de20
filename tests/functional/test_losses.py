"""Squared error and binary cross-entropy, against their definitions and at the ends."""

import math

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn.shapes import ShapeError


def case(seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((4, 3)) * 3, rng.random((4, 3))


def bce(x, t, q=1.0):
    """From the definition, number by number."""
    loss = np.empty(x.shape)
    for place in np.ndindex(x.shape):
        p = 1 / (1 + math.exp(-x[place]))
        loss[place] = -q * t[place] * math.log(p) - (1 - t[place]) * math.log(1 - p)
    return loss


def test_mean_squared_error():
    x, t = case()
    squares = [(a - b) ** 2 for a, b in zip(x.ravel(), t.ravel(), strict=True)]
    assert F.mse_loss(x, t).item() == pytest.approx(sum(squares) / 12, rel=1e-13)
    assert F.mse_loss(x, t, reduction="sum").item() == pytest.approx(sum(squares), rel=1e-13)
    assert F.mse_loss(x, t, reduction="none").numpy().ravel().tolist() == squares


def test_binary_cross_entropy_is_its_definition():
    x, t = case()
    none = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    np.testing.assert_allclose(none.numpy(), bce(x, t), rtol=1e-11)
    mean = F.binary_cross_entropy_with_logits(x, t)
    assert mean.item() == pytest.approx(bce(x, t).mean(), rel=1e-12)


def test_its_weights():
    x, t = case()
    weight, pos_weight = np.random.default_rng(1).random((4, 3)), 3.0
    loss = F.binary_cross_entropy_with_logits(
        x, t, weight, pos_weight=np.full(3, pos_weight), reduction="none"
    )
    np.testing.assert_allclose(loss.numpy(), weight * bce(x, t, pos_weight), rtol=1e-11)


def test_two_classes_are_one_logit():
    x, t = case()
    labels = (t > 0.5).astype(int)
    one = F.binary_cross_entropy_with_logits(x, labels.astype(np.float64))
    two = F.cross_entropy(np.stack([np.zeros_like(x), x], axis=1), labels)
    assert one.item() == pytest.approx(two.item(), rel=1e-13)


def test_the_gradient_is_the_share_minus_the_truth():
    x, t = case()
    x[0, 0] = 0  # where |x| has a kink and the loss has none
    x = mf.tensor(x, requires_grad=True)
    (gx,) = mf.grad(F.binary_cross_entropy_with_logits(x, t, reduction="sum"), x)
    np.testing.assert_allclose(gx.numpy(), 1 / (1 + np.exp(-x.numpy())) - t, rtol=1e-12)


def test_extreme_logits_stay_finite():
    x = mf.tensor([1e4, -1e4], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, mf.tensor([0.0, 1.0]), reduction="none")
    assert loss.tolist() == [1e4, 1e4]
    (gx,) = mf.grad(loss.sum(), x)
    assert gx.tolist() == [1, -1]
    assert F.logsigmoid(mf.tensor([-1e4, 1e4])).tolist() == [-1e4, 0]


@pytest.mark.parametrize("loss", [F.mse_loss, F.binary_cross_entropy_with_logits])
class TestErrors:
    def refused(self, kind, loss, *args, facts=(), **kwargs):
        with pytest.raises(kind) as error:
            loss(*args, **kwargs)
        for fact in (f"{loss.__name__}: ", *facts):
            assert fact in str(error.value), str(error.value)

    def test_shapes_that_would_broadcast_by_accident(self, loss):
        facts = "target has shape (4,)", "x has (4, 1)", "axis 1"
        self.refused(ShapeError, loss, np.zeros((4, 1)), np.zeros(4), facts=facts)
        facts = "target has shape (2, 4)", "x has (2, 3)", "axis 1"
        self.refused(ShapeError, loss, np.zeros((2, 3)), np.zeros((2, 4)), facts=facts)

    def test_whole_numbers(self, loss):
        facts = "dtype of target is int64", "floating"
        self.refused(TypeError, loss, np.zeros(3), np.zeros(3, int), facts=facts)

    def test_an_unknown_reduction(self, loss):
        facts = "reduction is 'average'", "'mean'"
        self.refused(ValueError, loss, np.zeros(3), np.zeros(3), reduction="average", facts=facts)


def test_logsigmoid_bends_where_softplus_is_cut_off():
    """From -20 down it was x itself, so that its third derivative was 0."""
    at = -25.0
    x = mf.tensor(np.array([at]), requires_grad=True)
    g = F.logsigmoid(x)
    for _ in range(3):
        (g,) = mf.grad(g, x, create_graph=True)
    e = math.exp(at)  # log sigmoid(x) = x - e^x + e^2x / 2 - ...
    assert g.item() == pytest.approx(-e + 4 * e * e, rel=1e-12)
