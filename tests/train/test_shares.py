"""Shares of a batch: together they make the step that one process makes with the whole batch."""

import io
import math

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn import nn
from minifcn.data import HotDogs, Loader
from minifcn.optim import SGD
from minifcn.train.communicator import together
from minifcn.train.gradients import GradientSum, combine
from minifcn.train.loss import SegmentationLoss, segmentation_loss, weight_of
from minifcn.train.trainer import Trainer

VOID = 9


def net(norm=True, regularizer=None, sync=True):
    rng = np.random.default_rng(0)
    first = nn.Conv2d(3, 4, 3, padding=1, regularizer=regularizer, generator=rng)
    middle = [nn.BatchNorm2d(4, sync=sync)] if norm else []
    last = nn.Conv2d(4, 3, 1, generator=rng)
    return nn.Sequential(first, *middle, nn.ReLU(), last).double()


def stepped(x, target, loss, team=None, steps=2, **options):
    """(losses, parameters and buffers) after some steps by this share of the batch."""
    model = net(**options)
    trainer = Trainer(
        model,
        SGD(list(model.parameters()), lr=0.1, momentum=0.9, weight_decay=0.01),
        Loader(HotDogs(4), 4),
        epochs=1,
        loss=loss,
        communicator=team,
        out=io.StringIO(),
    )
    with together(trainer.team):
        losses = [trainer.step(x, target) for _ in range(steps)]
    return losses, {name: t.numpy() for name, t in model.state_dict().items()}, trainer.skipped


def scenes(count, void):
    """A batch; image i has the share void[i] of its pixels uncounted."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((count, 3, 6, 5)) + np.arange(count)[:, None, None, None]
    target = rng.integers(0, 3, (count, 6, 5))
    for image, part in enumerate(void):
        target[image].reshape(-1)[: round(part * 30)] = VOID
    return x, target


def compare(run, count, ranks, void, loss, **options):
    x, target = scenes(count, void)
    alone = stepped(x, target, loss, **options)

    def job(team):
        own = slice(count * team.rank // ranks, count * (team.rank + 1) // ranks)
        return stepped(x[own], target[own], loss, team, **options)

    several = run(ranks, job)
    for losses, state, skipped in several:
        np.testing.assert_allclose(losses, alone[0], rtol=1e-12)
        assert skipped == alone[2]
        for name, array in state.items():
            np.testing.assert_allclose(array, alone[1][name], rtol=1e-9, atol=1e-12, err_msg=name)
            np.testing.assert_array_equal(array, several[0][1][name])  # the same bits
    return alone


CASES = [
    (4, 2, [0, 0, 0, 0]),
    (4, 2, [0.9, 0.5, 0, 0.1]),
    (5, 2, [0, 0.3, 0, 0.9, 0]),
    (5, 3, [0.2, 0, 0, 0.9, 0]),
    (4, 2, [1, 1, 0.5, 0]),  # a share without a counted pixel
    (2, 3, [0.5, 0]),  # a share without an image
]


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("weight", [None, np.array([1.0, 0.2, 3.0])])
@pytest.mark.parametrize("count, ranks, void", CASES)
def test_the_step_is_that_of_the_whole_batch(run, count, ranks, void, weight, norm):
    compare(run, count, ranks, void, segmentation_loss(VOID, weight), norm=norm)


def test_the_mean_of_the_shares_is_not_the_mean_of_the_batch():
    """Or the weights above would not be tested."""
    x, target = scenes(4, [0.9, 0.9, 0, 0])
    loss = segmentation_loss(VOID)
    model = net(norm=False)
    whole = loss(model(x), target).item()
    halves = [loss(model(x[own]), target[own]).item() for own in (slice(2), slice(2, 4))]
    assert abs(sum(halves) / 2 - whole) > 1e-3


def test_a_plain_function_is_a_mean_over_images(run):
    def squares(logits, target):
        difference = logits - mf.tensor(target[:, None] * np.ones((1, 3, 1, 1)))
        return (difference * difference).mean()

    compare(run, 5, 2, [0] * 5, squares)
    assert weight_of(squares, np.zeros((5, 2, 2), np.int64)) == 5


class MaskedSquares:
    """A loss of one's own, whose mean over no pixel is nan, and so is every gradient of it."""

    def __call__(self, logits, target):
        mask = mf.tensor((target != VOID)[:, None].astype(np.float64))
        return (logits * logits * mask).sum() / mask.sum()

    def counted_weight(self, target):
        return float(np.count_nonzero(target != VOID))


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_share_that_does_not_count_adds_no_nan(run):
    x, target = scenes(1, [1])
    logits = mf.tensor(x, requires_grad=True)
    (gx,) = mf.grad(MaskedSquares()(logits, target), [logits])
    assert np.isnan(gx.numpy()).all()
    compare(run, 4, 2, [1, 1, 0.5, 0], MaskedSquares())


def test_a_batch_without_a_counted_pixel_is_skipped_by_all(run):
    losses, _, skipped = compare(run, 4, 2, [1, 1, 1, 1], segmentation_loss(VOID))
    assert np.isnan(losses).all() and skipped == 2


def test_a_regularizer_counts_once(run):
    compare(
        run, 4, 2, [0, 0, 0, 0], segmentation_loss(VOID), regularizer=lambda w: (w * w).sum() * 0.3
    )


def test_batch_norm_without_sync_takes_each_share_by_itself(run):
    """A share without an image too; the parameters stay alike all the same."""
    x, target = scenes(2, [0, 0.5])

    def job(team):
        own = slice(2 * team.rank // 3, 2 * (team.rank + 1) // 3)
        return stepped(x[own], target[own], segmentation_loss(VOID), team, sync=False)

    several = run(3, job)
    trained = [name for name in several[0][1] if "running" not in name]
    for losses, state, _ in several:
        assert losses == several[0][0] and np.isfinite(losses).all()
        for name in trained:
            np.testing.assert_array_equal(state[name], several[0][1][name])
    together, _, _ = stepped(x, target, segmentation_loss(VOID))
    assert abs(several[0][0][0] - together[0]) > 1e-6


def test_scores_that_are_shared_are_those_of_one_model(run):
    """Without sync every process has running statistics of its own."""

    class Statistics:
        shared = True

        def __init__(self, model):
            self.model = model

        def __call__(self):
            return {name: buffer.tolist() for name, buffer in self.model.named_buffers()}

    def job(team):
        model = net(sync=False).float()
        evaluate, loader = Statistics(model), Loader(HotDogs(4, (24, 32)), 4)
        trainer = Trainer(
            model, SGD(model.parameters(), lr=0.1), loader, epochs=1, evaluate=evaluate,
            communicator=team, out=io.StringIO(),
        )  # fmt: skip
        trainer.fit()
        model.train()
        with together(team):
            trainer.step(*next(iter(loader.share(team.rank, team.size).epoch(1))))
        return trainer.history[-1]["scores"], evaluate()

    (first, after), (second, other) = run(2, job)
    assert first and first == second
    assert after != other, "the two do differ between evaluations"


def test_all_go_on_from_the_state_of_the_first(run, tmp_path):
    """It alone has resumed, and the others have begun with other weights."""

    def made(seed, team=None, epochs=2):
        rng = np.random.default_rng(seed)
        model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1, generator=rng), nn.Dropout(0.5, seed=1))
        sgd = SGD(model.parameters(), lr=0.1, momentum=0.9)
        loader = Loader(HotDogs(4, (24, 32)), 2)
        return Trainer(
            model, sgd, loader, epochs=epochs, run=tmp_path, communicator=team, out=io.StringIO()
        )

    first = made(0)
    first.step(*next(iter(first.loader.epoch(0))))
    first.epoch, first.losses = 1, [0.5, 0.25]
    first.save()

    def job(team):
        trainer = made(team.rank, team)
        if team.rank == 0:
            assert trainer.resume()
        trainer.fit()
        return trainer.losses, [p.tolist() for p in trainer.model.parameters()]

    one, other = run(2, job)
    assert one == other
    assert one[0][:2] == [0.5, 0.25] and len(one[0]) == 4


def test_a_gradient_that_one_process_has_reaches_all(run):
    """A model may take another way for every share; what nobody met has no gradient."""

    def job(team):
        p, q, r = (mf.tensor(np.zeros(2), requires_grad=True) for _ in range(3))
        if team.rank == 1:
            p.grad = mf.tensor(np.array([1.0, 2.0]))
        q.grad = mf.tensor(np.array([3.0, team.rank]))
        GradientSum([p, q, r])(team)
        assert p.grad is not None and q.grad is not None
        return p.grad.tolist(), q.grad.tolist(), r.grad

    assert run(2, job) == [([1, 2], [6, 1], None)] * 2


def test_parameters_without_a_gradient_are_left_alone(run):
    """Weight decay would change them, had they a gradient of zeros."""

    def job(team):
        model = net()
        idle = nn.Parameter(np.ones(3))
        params = [*model.parameters(), idle]
        trainer = Trainer(
            model, SGD(params, lr=0.1, weight_decay=0.5), Loader(HotDogs(4), 4), epochs=1,
            communicator=team, loss=segmentation_loss(VOID),
        )  # fmt: skip
        x, target = scenes(2, [0, 0])
        with together(team):
            trainer.step(x, target)
        return idle.numpy()

    for left in run(2, job):
        np.testing.assert_array_equal(left, np.ones(3))


@pytest.mark.parametrize("weight", [None, np.array([0.5, 2.0, 0.25], np.float32)])
def test_the_counted_weight_is_what_the_mean_divides_by(weight):
    x, target = scenes(3, [0.5, 0, 1])
    loss = SegmentationLoss(VOID, weight)
    logits = x.astype(np.float32)
    wanted = F.counted_weight(logits, target, weight=weight, ignore_index=VOID).item()
    assert loss.counted_weight(target) == pytest.approx(wanted, rel=1e-6)


def test_losses_are_combined_by_weight(run):
    shares = [(2.0, 30.0), (math.nan, 0.0), (5.0, 10.0)]
    got = run(3, lambda team: combine(team, *shares[team.rank]))
    assert [mean for mean, _ in got] == [pytest.approx((2 * 30 + 5 * 10) / 40)] * 3
    assert [part for _, part in got] == [0.75, 0.0, 0.25]
    nothing = run(2, lambda team: combine(team, math.nan, 0.0))
    assert all(math.isnan(mean) and part == 0 for mean, part in nothing)
