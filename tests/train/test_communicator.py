"""Communicators: sums in the order of the ranks, the same bits for all; an end is noticed."""

import socket
import threading
from typing import Any

import numpy as np
import pytest

from minifcn.modes import mode
from minifcn.train.communicator import One, PeerLostError, exchange, together
from minifcn.train.shared import PIECE


def in_order(arrays):
    """The sum by its definition, from the left."""
    total = arrays[0].copy()
    for array in arrays[1:]:
        total = np.asarray(total + array)
    return total


LARGE = 2 * PIECE // 4 + 3  # float32 numbers: two whole pieces and a rest


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 1, 4), (LARGE,)])
def test_a_sum_is_taken_in_the_order_of_the_ranks(run, ranks, dtype, shape):
    rng = np.random.default_rng(0)
    parts: list[Any] = [np.array(9 * rng.random(shape), dtype) for _ in range(ranks)]
    wanted = in_order(parts)
    for got in run(ranks, lambda team: team.all_sum(parts[team.rank])):
        assert got.dtype == dtype and got.shape == shape
        assert got.tobytes() == wanted.tobytes()


def test_the_order_shows_in_the_bits(run):
    """Or the test above would pass with any order."""
    parts = [np.array([value], np.float32) for value in (1e8, -1e8, 1.0)]
    assert in_order(parts)[0] == 1.0 and in_order([parts[0], parts[2], parts[1]])[0] == 0.0
    assert all(y[0] == 1.0 for y in run(3, lambda team: team.all_sum(parts[team.rank])))


def test_a_sum_goes_where_it_is_told_whatever_the_strides(run):
    x = np.arange(24.0).reshape(4, 6)

    def job(team):
        own = x * (team.rank + 1)
        turned = team.all_sum(own.T)
        same = own.copy()
        assert team.all_sum(same, out=same) is same
        wide = np.full((4, 12), -1.0)
        team.all_sum(own, out=wide[:, ::2])
        return own, turned, same, wide

    for rank, (own, turned, same, wide) in enumerate(run(2, job)):
        np.testing.assert_array_equal(own, x * (rank + 1))  # what was given is untouched
        np.testing.assert_array_equal(turned, 3 * x.T)
        np.testing.assert_array_equal(same, 3 * x)
        np.testing.assert_array_equal(wide[:, ::2], 3 * x)
        assert (wide[:, 1::2] == -1).all()


def test_many_sums_of_changing_sizes_do_not_mix(run):
    """Slots are used again; a slow process must still find what it was sent."""
    sizes = np.random.default_rng(0).integers(1, 3000, 300)

    def job(team):
        rng = np.random.default_rng(team.rank)
        wrong = 0
        for step, size in enumerate(sizes):
            if rng.random() < 0.02:
                threading.Event().wait(0.002)
            y = team.all_sum(np.full(size, float(step * (team.rank + 1))))
            wrong += not (y == step * 6).all()
        return wrong

    assert run(3, job) == [0, 0, 0]


@pytest.mark.parametrize("root", [0, 2])
def test_a_broadcast_gives_all_the_array_of_one(run, root):
    parts = [np.random.default_rng(rank).standard_normal((3, PIECE // 16)) for rank in range(3)]
    for got in run(3, lambda team: team.broadcast(parts[team.rank], root)):
        np.testing.assert_array_equal(got, parts[root])


def test_nobody_passes_a_barrier_alone(run):
    here: list[int] = []

    def job(team):
        threading.Event().wait(0.05 * team.rank)
        here.append(team.rank)
        team.barrier()
        return len(here)

    assert run(3, job) == [3, 3, 3]


def test_texts_of_any_length_are_exchanged(run):
    texts = ["", "Würstchen", "x" * 100_000]
    assert run(3, lambda team: exchange(team, texts[team.rank])) == [texts] * 3
    assert exchange(One(), "ä") == ["ä"]


def test_who_leaves_is_missed(run):
    def job(team):
        if team.rank == 1:
            return None
        with pytest.raises(PeerLostError, match="process 1 of 2"):
            for _ in range(3):
                team.all_sum(np.ones(3))
        return "noticed"

    assert run(2, job) == ["noticed", None]


def test_who_says_nothing_more_is_missed(run):
    """The end of a stream that somebody waits for, where the test above has none to write to."""

    def job(team):
        if team.rank == 1:
            team.peers[0].shutdown(socket.SHUT_WR)
            return len(team.peers[0].recv(100)) > 0
        with pytest.raises(PeerLostError, match="process 1 of 2 has ended$"):
            team.barrier()
        return "noticed"

    assert run(2, job) == ["noticed", True]


def test_who_does_something_else_is_told_so(run):
    def job(team):
        with pytest.raises((RuntimeError, PeerLostError)) as told:
            team.all_sum(np.ones(3 + team.rank))
        return str(told.value)

    assert (
        "Shared: process 1 brings 32 bytes to meeting 1, but process 0 brings 24 to meeting 1; all "
        "processes must make the same calls in the same order"
    ) in run(2, job)


def test_one_is_the_sum_of_itself():
    x = np.arange(3.0)
    y = One().all_sum(x)
    assert y is not x and (y == x).all()
    out = np.empty(3)
    assert One().all_sum(x, out=out) is out and (out == x).all()


def test_operators_know_with_whom_they_train_only_within(run):
    def job(team):
        seen = [mode.communicator]
        with together(team):
            seen.append(mode.communicator)
            with together(One()):
                seen.append(mode.communicator)
        return [*seen, mode.communicator], team

    for seen, team in run(2, job):
        assert seen == [None, team, None, None]
