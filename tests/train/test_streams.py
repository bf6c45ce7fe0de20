"""Random streams: each process has its own, and each goes on where it stood."""

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn
from minifcn.train.communicator import One
from minifcn.train.streams import gather_streams, take_streams


def net(kind=np.random.PCG64):
    shared = np.random.Generator(kind(3))
    drops = [nn.Dropout(0.5, generator=shared), nn.Dropout(0.5, generator=shared)]
    return nn.Sequential(*drops, nn.Dropout(0.5, seed=1))


def drawn(model):
    return model(mf.tensor(np.ones(400, np.float32))).numpy()


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.SFC64, np.random.Philox])
def test_every_process_forgets_other_places_and_the_first_the_usual_ones(kind):
    states = [net(kind).random_state()]
    masks = []
    for rank in range(3):
        model = net(kind)
        take_streams(model, states, rank)
        masks.append(drawn(model))
    np.testing.assert_array_equal(masks[0], drawn(net(kind)))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert 0 < (masks[a] != masks[b]).sum()
    again = net(kind)
    take_streams(again, states, 2)
    np.testing.assert_array_equal(drawn(again), masks[2])


def test_streams_that_were_gathered_go_on(run):
    def job(team):
        model = net()
        take_streams(model, [model.random_state()], team.rank)
        drawn(model)
        states = gather_streams(model, team)
        return states, drawn(model)

    results = run(3, job)
    states = results[0][0]
    assert all(other == states for other, _ in results)
    for rank, (_, wanted) in enumerate(results):
        model = net()
        take_streams(model, states, rank)
        np.testing.assert_array_equal(drawn(model), wanted)


def test_a_model_without_randomness_has_nothing_to_gather():
    assert gather_streams(nn.Sequential(nn.ReLU()), One()) == [{}]
