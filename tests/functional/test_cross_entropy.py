"""cross_entropy: against loops, by its laws, and where nothing counts."""

import math

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F

SHAPES = [(5, 3), (2, 4, 6), (2, 3, 4, 5), (2, 2, 2, 3, 2)]


def case(shape, seed=0, ignored=0.25, ignore_index=255):
    """Random logits and labels, some of them ignored."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape) * 3
    target = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    target[rng.random(target.shape) < ignored] = ignore_index
    return x, target, rng.uniform(0.2, 3, shape[1])


def loops(x, target, weight, ignore_index, smoothing):
    """(loss, weight in the mean) of every pixel that counts, else (0, 0), from the definition."""
    C = x.shape[1]
    loss, counted = np.zeros(target.shape), np.zeros(target.shape)
    for place in np.ndindex(target.shape):
        label = target[place]
        if label == ignore_index:
            continue
        scores = [x[(place[0], c, *place[1:])] for c in range(C)]
        total = sum(math.exp(score) for score in scores)
        for c, score in enumerate(scores):
            truth = (1 - smoothing if c == label else 0) + smoothing / C
            loss[place] -= weight[c] * truth * math.log(math.exp(score) / total)
        counted[place] = weight[label]
    return loss, counted


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0])
def test_equals_its_definition(shape, smoothing):
    x, target, weight = case(shape)
    loss, counted = loops(x, target, weight, 255, smoothing)
    options = {"weight": weight, "ignore_index": 255, "label_smoothing": smoothing}
    none = F.cross_entropy(x, target, reduction="none", **options)
    np.testing.assert_allclose(none.numpy(), loss, rtol=1e-12, atol=1e-13)
    total = F.cross_entropy(x, target, reduction="sum", **options)
    assert total.item() == pytest.approx(loss.sum(), rel=1e-12)
    mean = F.cross_entropy(x, target, **options)
    assert mean.item() == pytest.approx(loss.sum() / counted.sum(), rel=1e-12)


def test_without_a_hint_every_class_costs_log_c():
    x = mf.tensor(np.zeros((2, 7, 3, 3)))
    target = np.random.default_rng(0).integers(0, 7, (2, 3, 3))
    assert F.cross_entropy(x, target).item() == pytest.approx(math.log(7), rel=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
def test_is_nll_loss_of_log_softmax(shape):
    x, target, weight = case(shape)
    options = {"weight": weight, "ignore_index": 255}
    fused = F.cross_entropy(x, target, **options).item()
    assert fused == pytest.approx(
        F.nll_loss(F.log_softmax(x, 1), target, **options).item(), rel=1e-12
    )


def test_two_halves_make_the_whole():
    """What a data-parallel step does: add sums and weights, divide once."""
    x, target, weight = case((6, 4, 5, 3))
    options = {"weight": weight, "ignore_index": 255}
    halves = [(x[:2], target[:2]), (x[2:], target[2:])]
    total = sum(F.cross_entropy(*half, reduction="sum", **options).item() for half in halves)
    counted = sum(F.counted_weight(*half, **options).item() for half in halves)
    assert total / counted == pytest.approx(F.cross_entropy(x, target, **options).item(), rel=1e-12)


def test_counted_weight_counts_pixels():
    x, target, _ = case((2, 3, 4, 5))
    assert F.counted_weight(x, target, ignore_index=255).item() == (target != 255).sum()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_gradient_sums_to_zero_over_the_classes(smoothing):
    x, target, weight = case((2, 5, 3, 4))
    options = {"weight": weight, "ignore_index": 255, "label_smoothing": smoothing}
    x = mf.tensor(x, requires_grad=True)
    gx = mf.grad(F.cross_entropy(x, target, **options), x)[0].numpy()
    np.testing.assert_allclose(gx.sum(1), 0, atol=1e-15)
    assert (np.abs(gx).sum(1) > 0).tolist() == (target != 255).tolist()


def test_ignored_pixels_cannot_be_told_from_absent_ones():
    x, target, _ = case((8, 3), ignored=0)
    target[[1, 4]] = 1
    keep = target != 1
    whole = F.cross_entropy(x, target, ignore_index=1, label_smoothing=0.1)
    part = F.cross_entropy(x[keep], target[keep], label_smoothing=0.1)
    assert whole.item() == pytest.approx(part.item(), rel=1e-13)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_mean_over_nothing_is_nan_and_its_gradient_zero(smoothing):
    x = mf.tensor(np.ones((2, 3, 2, 2)), requires_grad=True)
    target = np.full((2, 2, 2), -100)
    mean = F.cross_entropy(x, target, label_smoothing=smoothing)
    assert math.isnan(mean.item())
    (gx,) = mf.grad(mean, x, create_graph=True)
    assert not gx.numpy().any()
    (ggx,) = mf.grad((gx * gx).sum(), x)
    assert not ggx.numpy().any()
    assert F.cross_entropy(x, target, reduction="sum", label_smoothing=smoothing).item() == 0


def test_classes_of_no_weight_alone_also_give_nan():
    x, target = np.zeros((2, 3)), np.array([1, 1])
    weight = np.array([1.0, 0.0, 1.0])
    assert math.isnan(F.cross_entropy(x, target, weight=weight, label_smoothing=0.5).item())


def test_a_batch_of_nothing():
    x, target = np.zeros((0, 3, 2, 2)), np.zeros((0, 2, 2), int)
    assert F.cross_entropy(x, target, reduction="none").shape == (0, 2, 2)
    assert F.cross_entropy(x, target, reduction="sum").item() == 0
    assert math.isnan(F.cross_entropy(x, target).item())


def test_certain_probabilities_are_labels():
    x, target, weight = case((3, 4, 2, 2), ignored=0)
    sure = np.moveaxis(np.eye(4)[target], -1, 1)
    for reduction in ("sum", "none"):
        options = {"weight": weight, "reduction": reduction, "label_smoothing": 0.1}
        np.testing.assert_allclose(
            F.cross_entropy(x, sure, **options).numpy(),
            F.cross_entropy(x, target, **options).numpy(),
            rtol=1e-12,
        )


def test_probabilities_have_a_gradient_too():
    x, target = mf.tensor([[1.0, 3.0]]), mf.tensor([[0.5, 0.5]], requires_grad=True)
    (gt,) = mf.grad(F.cross_entropy(x, target), target)
    np.testing.assert_allclose(gt.numpy(), -F.log_softmax(x, 1).numpy(), rtol=1e-6)


def test_one_sample_needs_no_batch_axis():
    x, target = np.array([0.3, -1.0, 2.0]), np.array(2)
    alone = F.cross_entropy(x, mf.tensor(target), reduction="none")
    batched = F.cross_entropy(x[None], target[None])
    assert alone.shape == () and alone.item() == batched.item()


def test_the_second_derivative_is_that_of_log_sum_exp():
    x = mf.tensor(np.array([[0.2, -1.0, 0.7]]), requires_grad=True)
    (gx,) = mf.grad(F.cross_entropy(x, np.array([1])), x, create_graph=True)
    p = F.softmax(x, 1).numpy()[0]
    for i in range(3):
        direction = mf.tensor(np.eye(3)[[i]])
        (row,) = mf.grad((gx * direction).sum(), x)
        np.testing.assert_allclose(row.numpy()[0], p[i] * (np.eye(3)[i] - p), rtol=1e-12)


def test_float32_survives_large_logits():
    x, target, _ = case((4, 5, 3), ignored=0)
    x = np.round(x * 64) / 64  # so that 8192 can be added exactly
    exact = F.cross_entropy(x, target).item()
    far = F.cross_entropy((x + 8192).astype(np.float32), target)
    assert far.dtype == np.float32
    assert far.item() == pytest.approx(exact, rel=1e-6)
    assert F.cross_entropy(mf.tensor([[1e30, -1e30]]), mf.tensor([0])).item() == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.uint16, np.int64])
def test_labels_of_any_integer_type(dtype):
    x, target, _ = case((2, 3, 4, 4), ignore_index=-1)
    wanted = F.cross_entropy(x, target, ignore_index=-1).item()
    again = np.where(target == -1, 100, target).astype(dtype)
    assert F.cross_entropy(x, again, ignore_index=100).item() == wanted


def test_many_classes_fit_in_small_labels():
    x = np.eye(200)
    target = np.arange(200, dtype=np.uint8)
    loss = F.cross_entropy(x, target, reduction="none").numpy()
    np.testing.assert_allclose(loss, math.log(199 + math.e) - 1, rtol=1e-12)
