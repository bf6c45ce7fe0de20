"""Three threads, one order: reading ahead, finishing behind, and every way in which it may end."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest

from minifcn.infer.overlap import AHEAD, overlapped


def test_everything_comes_in_order_and_is_finished():
    finished: list[int] = []
    results = list(overlapped(range(50), lambda x: x * x, finished.append))
    assert results == finished == [x * x for x in range(50)]


def test_nothing_is_no_work():
    assert list(overlapped([], lambda x: x, print)) == []


def test_the_three_run_in_threads_of_their_own_at_the_same_time():
    """Reading, working and writing of different items meet at one barrier."""
    meet = threading.Barrier(3)
    where: dict[str, set[int]] = {"read": set(), "work": set(), "finish": set()}

    def part(name, item):
        where[name].add(threading.get_ident())
        if {"read": 3, "work": 2, "finish": 1}[name] == item:
            meet.wait(10)
        return item

    source = (part("read", item) for item in range(1, 6))
    list(overlapped(source, lambda x: part("work", x), lambda x: part("finish", x)))
    assert where["work"] == {threading.get_ident()}
    assert len(set.union(*where.values())) == 3


def test_reading_does_not_run_far_ahead():
    taken: list[int] = []

    def source():
        for item in range(100):
            taken.append(item)
            yield item

    with closing(overlapped(source(), lambda x: x, lambda x: None)) as results:
        for item in results:
            assert len(taken) <= item + 1 + AHEAD + 2
            if item == 20:
                break
    assert len(taken) < 30


def quiet(before):
    """Whether all threads that were begun have ended."""
    limit = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < limit:
        time.sleep(0.01)
    return threading.active_count() == before


def test_an_error_of_the_source_comes_after_what_was_read_is_finished():
    def source():
        yield 1
        yield 2
        raise OSError("the third is broken")

    finished: list[int] = []
    before = threading.active_count()
    with pytest.raises(OSError, match="third"):
        list(overlapped(source(), lambda x: x, finished.append))
    assert finished == [1, 2] and quiet(before)


def test_an_error_of_finishing_ends_it_and_nothing_more_is_finished():
    finished: list[int] = []

    def finish(item):
        if item == 2:
            raise OSError("the disk is full")
        finished.append(item)

    before = threading.active_count()
    with pytest.raises(OSError, match="full"):
        list(overlapped(range(1000), lambda x: x, finish))
    assert finished == [0, 1] and quiet(before)


def test_an_error_of_finishing_is_not_lost_when_the_loop_is_left():
    left = threading.Event()

    def finish(item):
        left.wait(10)
        raise OSError("the disk is full")

    with (
        pytest.raises(OSError, match="full"),
        closing(overlapped(range(10), lambda x: x, finish)) as results,
    ):
        next(results)
        left.set()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ValueError])
def test_an_error_of_the_work_lets_what_came_before_be_finished(kind):
    finished: list[int] = []

    def work(item):
        if item == 3:
            raise kind("now")
        return item

    def finish(item):
        time.sleep(0.02)
        finished.append(item)

    before = threading.active_count()
    with pytest.raises(kind):
        list(overlapped(range(1000), work, finish))
    assert finished == [0, 1, 2] and quiet(before)


def test_leaving_the_loop_finishes_what_was_worked_on():
    finished: list[int] = []
    before = threading.active_count()
    with closing(overlapped(iter(int, 1), lambda x: x, finished.append)) as results:
        for _, _item in zip(range(5), results, strict=False):
            pass
    assert len(finished) >= 5 and quiet(before)
