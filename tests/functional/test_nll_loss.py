"""nll_loss, and what is refused as labels, by it and by cross_entropy alike."""

import math

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn.shapes import ShapeError

LOSSES = [F.nll_loss, F.cross_entropy]


def test_picks_the_labels():
    x = mf.tensor([[[1.0, 2.0], [3.0, 4.0]]])  # N C L
    assert F.nll_loss(x, mf.tensor([[0, 1]]), reduction="none").tolist() == [[-1.0, -4.0]]
    assert F.nll_loss(x, mf.tensor([[0, 1]]), reduction="sum").item() == -5.0


def test_the_mean_is_weighed():
    x, weight = mf.tensor([[1.0, 0.0], [0.0, 5.0], [9.0, 9.0]]), mf.tensor([3.0, 1.0])
    target = mf.tensor([0, 1, 7])
    assert F.nll_loss(x, target, weight=weight, ignore_index=7).item() == -(3 * 1 + 1 * 5) / (3 + 1)


def test_the_gradient_lies_at_the_labels():
    x = mf.tensor(np.zeros((2, 3)), requires_grad=True)
    weight = np.array([1.0, 2.0, 4.0])
    (gx,) = mf.grad(F.nll_loss(x, mf.tensor([2, 0]), weight=weight, reduction="sum"), x)
    assert gx.tolist() == [[0, 0, -4], [-1, 0, 0]]


def test_the_mean_over_nothing_is_nan():
    assert math.isnan(F.nll_loss(np.zeros((2, 3)), np.array([-100, -100])).item())


def test_ignored_logits_may_be_anything():
    x = mf.tensor([[math.nan, math.inf], [-1.0, -2.0]])
    assert F.nll_loss(x, mf.tensor([255, 1]), ignore_index=255).item() == 2.0


@pytest.mark.parametrize("loss", LOSSES)
class TestErrors:
    def refused(self, kind, loss, *args, facts=(), **kwargs):
        with pytest.raises(kind) as error:
            loss(*args, **kwargs)
        for fact in (f"{loss.__name__}: ", *facts):
            assert fact in str(error.value), str(error.value)
        assert not str(error.value).endswith(".")

    def test_a_label_out_of_range(self, loss):
        x, target = np.zeros((2, 3, 4, 5)), np.zeros((2, 4, 5), int)
        target[0, 0, 0], target[1, 2, 4] = 255, 3
        facts = "target", "(1, 2, 4)", "N H W", "is 3", "3 classes", "0 to 2", "ignore_index 255"
        self.refused(ValueError, loss, x, target, ignore_index=255, facts=facts)

    def test_a_negative_label(self, loss):
        facts = "target", "(1,)", "is -1", "0 to 2", "ignore_index -100"
        self.refused(ValueError, loss, np.zeros((2, 3)), np.array([0, -1]), facts=facts)

    def test_a_bad_label_without_a_batch(self, loss):
        facts = "target is 4", "0 to 2"
        self.refused(ValueError, loss, np.zeros(3), mf.tensor(np.array(4)), facts=facts)

    def test_float_labels(self, loss):
        facts = "dtype of target", "float64", "integers", "pixel"
        self.refused(TypeError, loss, np.zeros((2, 3, 4, 5)), np.zeros((2, 4, 5)), facts=facts)

    def test_labels_of_another_size(self, loss):
        x, target = np.zeros((2, 3, 4, 5)), np.zeros((2, 5, 4), int)
        facts = "axis 1 (H) of target is 5", "axis 2 (H) of x is 4"
        self.refused(ShapeError, loss, x, target, facts=facts)

    def test_labels_with_a_channel_axis(self, loss):
        x, target = np.zeros((2, 3, 4, 5)), np.zeros((2, 1, 4, 5), int)
        facts = "target has 4 axes", "(2, 1, 4, 5)", "expected 3", "N H W"
        self.refused(ShapeError, loss, x, target, facts=facts)

    def test_a_weight_for_too_few_classes(self, loss):
        facts = "weight", "(2,)", "axis 1 (C) of x is 3", "expected (3,)"
        args = np.zeros((2, 3)), np.array([0, 1])
        self.refused(ShapeError, loss, *args, weight=np.ones(2), facts=facts)

    def test_a_weight_of_another_dtype(self, loss):
        facts = "dtype of weight is float32", "dtype of x is float64", "astype"
        args = np.zeros((2, 3)), np.array([0, 1])
        self.refused(TypeError, loss, *args, weight=np.ones(3, np.float32), facts=facts)

    def test_whole_numbers_as_scores(self, loss):
        facts = "dtype of x is int64", "floating"
        self.refused(TypeError, loss, np.zeros((2, 3), int), np.array([0, 1]), facts=facts)

    def test_no_axes(self, loss):
        facts = "x has no axes", "N C H W"
        self.refused(ShapeError, loss, mf.tensor(1.0), mf.tensor(0), facts=facts)

    def test_no_classes(self, loss):
        facts = "axis 1 (C) of x is 0", "at least 1"
        self.refused(ShapeError, loss, np.zeros((2, 0)), np.array([0, 1]), facts=facts)

    def test_an_unknown_reduction(self, loss):
        facts = "reduction is 'avg'", "'mean'", "'sum'", "'none'"
        args = np.zeros((2, 3)), np.array([0, 1])
        self.refused(ValueError, loss, *args, reduction="avg", facts=facts)

    def test_an_ignore_index_that_is_none(self, loss):
        facts = "ignore_index is None", "whole number"
        args = np.zeros((2, 3)), np.array([0, 1])
        self.refused(TypeError, loss, *args, ignore_index=None, facts=facts)


def test_smoothing_is_a_share():
    with pytest.raises(ValueError) as error:
        F.cross_entropy(np.zeros((1, 2)), np.array([0]), label_smoothing=1.5)
    for fact in ("cross_entropy: ", "label_smoothing is 1.5", "0 to 1"):
        assert fact in str(error.value)


def test_probabilities_of_another_shape():
    with pytest.raises(ShapeError) as error:
        F.cross_entropy(np.zeros((2, 3)), np.zeros((2, 4)))
    for fact in ("cross_entropy: ", "axis 1 (C) of target is 4", "axis 1 (C) of x is 3"):
        assert fact in str(error.value)
