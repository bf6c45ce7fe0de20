"""Batch norm over several processes: shares of a batch, each with its own, are the whole batch.

Threads stand for processes: each has its own communicator, which adds in the order of the ranks.
"""

import threading

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn import nn
from minifcn.functional.all_sum import all_sum
from minifcn.modes import mode
from minifcn.shapes import ShapeError


class Ring:
    """What the threads share."""

    def __init__(self, size):
        self.size, self.given = size, [None] * size
        self.met = threading.Barrier(size, timeout=20)


class Fake:
    def __init__(self, ring, rank):
        self.ring, self.rank, self.size, self.calls = ring, rank, ring.size, 0

    def all_sum(self, array):
        self.calls += 1
        self.ring.given[self.rank] = array
        self.ring.met.wait()
        total = self.ring.given[0].copy()
        for other in self.ring.given[1:]:
            assert other.shape == total.shape and other.dtype == total.dtype
            total += other
        self.ring.met.wait()
        return total


def on_each(size, work):
    """[work(rank)] of threads that train together; the first error is raised."""
    ring, results, errors = Ring(size), [None] * size, []

    def run(rank):
        mode.communicator = Fake(ring, rank)
        try:
            results[rank] = work(rank)
        except Exception as error:
            errors.append(error)
            ring.met.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    real = [e for e in errors if not isinstance(e, threading.BrokenBarrierError)]
    if errors:
        raise (real or errors)[0]
    return results


def batch(dtype=np.float64, origin=0.5):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 3, 5, 6)) * np.array([1.0, 3.0, 0.2])[:, None, None] + origin
    return x.astype(dtype), rng.standard_normal(x.shape).astype(dtype)


def train(x, gy, relu=False, order=1):
    """All that one process has in its hands after a step, and the square of the gradient's."""
    weight = mf.tensor(np.array([1.0, -2.0, 0.5], x.dtype), requires_grad=True)
    bias = mf.tensor(np.array([0.1, 0.2, 0.3], x.dtype), requires_grad=True)
    mean, var = mf.tensor(np.zeros(3, x.dtype)), mf.tensor(np.ones(3, x.dtype))
    x = mf.tensor(x, requires_grad=True)
    y = F.batch_norm(x, mean, var, weight, bias, training=True, relu=relu)
    wanted = [x, weight, bias]
    found = mf.grad(y, wanted, mf.tensor(gy), create_graph=order > 1)
    if order > 1:
        (gx, *_) = found
        found = (*found, *mf.grad((gx * gx).sum(), [x, weight]))
    own = [y, found[0], *found[3:4]]  # parts of the batch
    sums = [found[1], found[2], *found[4:5]]  # the parameters': to be added up
    return [t.numpy() for t in own], [t.numpy() for t in sums], [mean.numpy(), var.numpy()]


def test_the_sum_over_processes_is_its_own_adjoint():
    """Over all processes together: sum_r <y_r, g_r> = sum_r <x_r, gx_r>."""
    x, g = np.random.default_rng(0).standard_normal((2, 3, 5))

    def work(rank):
        own = mf.tensor(x[rank], requires_grad=True)
        one, two = all_sum(own[:2], own[2:])
        (gx,) = mf.grad(F.cat([one, two]), [own], mf.tensor(g[rank]))
        return one.tolist() + two.tolist(), gx.numpy()

    y, gx = map(np.array, zip(*on_each(3, work), strict=True))
    np.testing.assert_allclose(y, np.broadcast_to(x.sum(0), y.shape), rtol=1e-14)
    np.testing.assert_allclose((y * g).sum(), (x * gx).sum(), rtol=1e-13)


SHARES = [(2, 2), (3, 1), (1, 3), (4, 0), (1, 2, 1)]


def shared(x, gy, shares, **options):
    ends = np.cumsum((0, *shares))
    parts = [(x[a:b], gy[a:b]) for a, b in zip(ends, ends[1:], strict=False)]
    return on_each(len(shares), lambda rank: train(*parts[rank], **options))


def assert_whole(results, whole, limit):
    own, sums, running = zip(*results, strict=True)
    for place, wanted in enumerate(whole[0]):
        together = np.concatenate([share[place] for share in own])
        np.testing.assert_allclose(together, wanted, atol=limit * max(np.abs(wanted).max(), 1))
    for place, wanted in enumerate(whole[1]):
        total = np.sum([share[place] for share in sums], 0)
        np.testing.assert_allclose(total, wanted, atol=limit * np.abs(wanted).max())
    for share in running:
        for got, wanted in zip(share, whole[2], strict=True):
            np.testing.assert_allclose(got, wanted, rtol=limit)
            np.testing.assert_array_equal(got, running[0][0] if got is share[0] else running[0][1])


@pytest.mark.parametrize("shares", SHARES, ids=str)
@pytest.mark.parametrize("relu", [False, True])
def test_shares_together_are_the_whole_batch(shares, relu):
    x, gy = batch()
    assert_whole(shared(x, gy, shares, relu=relu), train(x, gy, relu), 1e-12)


@pytest.mark.parametrize("origin", [0.5, 1000.0])
def test_in_float32_too(origin):
    x, gy = batch(np.float32, origin)
    exact = train(x.astype(np.float64), gy.astype(np.float64))
    limit = 2e-6 if origin < 1 else 3e-3  # the mean itself is rounded: 3e-5 of a deviation of 0.2
    assert_whole(shared(x, gy, (3, 1)), exact, limit)


def test_second_derivatives_too():
    x, gy = batch()
    assert_whole(shared(x, gy, (3, 1), order=2), train(x, gy, order=2), 1e-11)


def test_one_exchange_forward_and_one_backward():
    x, gy = batch()

    def work(rank):
        train(x[rank::2], gy[rank::2])
        return mode.communicator.calls

    assert on_each(2, work) == [2, 2]


@pytest.mark.parametrize("relu", [False, True])
def test_sync_off_leaves_each_to_itself(relu):
    x, _ = batch()

    def work(rank):
        norm = nn.BatchNorm2d(3, dtype=np.float64, sync=False)
        y = norm(mf.tensor(x[rank::2]), relu=relu).numpy()
        return y, mode.communicator.calls

    for rank, (y, calls) in enumerate(on_each(2, work)):
        alone = nn.BatchNorm2d(3, dtype=np.float64)(mf.tensor(x[rank::2]), relu=relu)
        np.testing.assert_array_equal(y, alone.numpy())
        assert calls == 0


def test_inference_exchanges_nothing():
    x, _ = batch()

    def work(rank):
        nn.BatchNorm2d(3, dtype=np.float64).eval()(mf.tensor(x))
        return mode.communicator.calls

    assert on_each(2, work) == [0, 0]


def test_one_value_per_process_is_enough_and_one_in_all_is_not():
    x = np.array([[1.0], [3.0]])

    def work(rank):
        return F.batch_norm(x[rank : rank + 1], None, None, training=True, eps=0.0).item()

    assert on_each(2, work) == [-1, 1]
    with pytest.raises(ShapeError, match="1 value per channel"):
        on_each(2, lambda rank: F.batch_norm(x[rank:1], None, None, training=True))
