"""Several ranks in one process: a thread each, and the communicator that processes use."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from minifcn.train.shared import Segment, Shared, connect


def run_ranks(ranks, job):
    """job(team) of every rank, each in a thread of its own; the results by rank."""
    segment, table = Segment.of(ranks), connect(ranks)
    teams = [Shared(rank, table[rank], segment) for rank in range(ranks)]

    def one(team):
        try:
            return job(team)
        finally:
            team.close()

    with ThreadPoolExecutor(ranks) as pool:
        return [future.result(60) for future in [pool.submit(one, team) for team in teams]]


@pytest.fixture
def run():
    """run(ranks, job): job(team) of every rank; the results by rank."""
    return run_ranks
