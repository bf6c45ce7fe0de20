"""One BLAS thread in training, unless the user's environment chose; afterwards as before."""

import numpy as np  # noqa: F401 - loads the BLAS that is looked at
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from minifcn.train.threads import CHOSEN_BY, one_blas_thread


def threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    for name in CHOSEN_BY:
        monkeypatch.delenv(name, raising=False)


def test_it_is_one_within_and_as_before_after():
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        with one_blas_thread():
            assert threads() and set(threads()) == {1}
        assert threads() == before


@pytest.mark.parametrize("name", CHOSEN_BY)
def test_the_environment_has_the_last_word(monkeypatch, name):
    monkeypatch.setenv(name, "2")
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        with one_blas_thread():
            assert threads() == before
        with one_blas_thread(always=True):  # among several processes
            assert set(threads()) == {1}
