"""Training on the device "cuda" in TF32, float16 and bfloat16."""

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn
from minifcn.data import Loader
from minifcn.optim import GradScaler
from tests.train.squares import Squares, assert_same, make, net, weights

pytestmark = pytest.mark.parametrize("device", ["cuda"])


@pytest.mark.parametrize("precision", ["tf32", "float16", "bfloat16"])
def test_low_precision_learns_the_same_within_its_rounding(device, precision):
    low, other = (make(device, precision=precision, graph=g, model=net(0.0)) for g in (None, False))
    exact = make(device, model=net(0.0))
    low.fit(), other.fit(), exact.fit()
    assert low.graph_reason == "" and low.ahead.recorded is not None
    assert low.losses == other.losses and low.losses != exact.losses
    assert_same(weights(low), weights(other))
    np.testing.assert_allclose(low.losses, exact.losses, atol=0.05)
    assert all(p.dtype == np.float32 for p in low.model.parameters())
    assert mf.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("graph", [True, False])
def test_float16_scales_its_loss_and_leaves_out_what_overflows(device, graph):
    trainer = make(device, precision="float16", graph=graph, model=net(0.0))
    trainer.scaler = GradScaler(init_scale=2.0**40, growth_interval=4)
    scales = []
    for x, target in list(trainer.loader.epoch(0)) * 10:
        before = weights(trainer)
        trainer.step(x, target)
        same = all((before[name] == array).all() for name, array in weights(trainer).items()
                   if name.endswith(("weight", "bias")) and name in before)  # fmt: skip
        scales.append((trainer.scaler.get_scale(), same))
    assert (trainer.ahead.recorded is not None) == graph
    overflows = [s for (s, _), (t, _) in zip(scales, scales[1:], strict=False) if t < s]
    assert len(overflows) > 3 and max(s for s, _ in scales[20:]) > min(s for s, _ in scales)
    for (one, _), (other, same) in zip(scales, scales[1:], strict=False):
        assert (other < one) == same


def test_a_graph_is_made_anew_for_another_scaler(device):
    trainer, other = (make(device, precision="float16", graph=graph) for graph in (True, False))
    for one in (trainer, other):
        batches = list(one.loader.epoch(0))
        for x, target in batches:
            one.step(x, target)
        one.scaler = GradScaler(init_scale=2.0**30)  # overflows, and follows
        for x, target in batches:
            one.step(x, target)
    assert trainer.ahead.recorded is not None
    assert trainer.scaler.get_scale() == other.scaler.get_scale() < 2.0**30
    assert_same(weights(trainer), weights(other))


def test_regularizers_weigh_as_much_in_float16(device):
    def trained(precision):
        rng = np.random.default_rng(0)
        model = nn.Sequential(nn.Conv2d(3, 3, 1, generator=rng, regularizer=nn.L2(0.5)))
        make(device, epochs=2, model=model, precision=precision).fit()
        return model[0].weight.numpy()

    np.testing.assert_allclose(trained("float16"), trained("float32"), rtol=0.05, atol=0.01)


def test_a_batch_that_does_not_count_is_no_good_step_of_the_scaler(device):
    pictures = Squares(6, void=(3,))
    trainer = make(device, dataset=pictures, batch=1, precision="float16", epochs=1)
    trainer.loader = Loader(pictures, 1, shuffle=False)
    trainer.scaler = GradScaler(init_scale=4.0)
    trainer.fit()
    assert trainer.skipped == 1 and trainer.scaler.state_dict()["good_steps"] == 5


def test_momentum_begins_after_the_overflows_in_a_graph_and_after_a_resume(device, tmp_path):
    """With dampening the first step that is made is another than the later ones."""

    def started(graph, run=None):
        trainer = make(device, run, precision="float16", graph=graph)
        trainer.optimizer.param_groups[0].update(dampening=0.75)
        trainer.scaler = GradScaler(init_scale=2.0**26)
        return trainer

    def steps(trainer, numbers):
        batches = list(trainer.loader.epoch(0)) * 8
        for number in numbers:
            trainer.step(*batches[number])

    graph, plain, broken = started(True), started(False), started(True, tmp_path)
    begun = []
    for number in range(24):
        steps(graph, [number])
        begun.append(bool(graph.optimizer.state_dict()[0]))
    steps(plain, range(24))
    assert graph.ahead.recorded is not None
    assert begun.index(True) > 4, "the step was a graph before a step was made"
    assert_same(weights(graph), weights(plain))

    stop = begun.index(True) - 1
    steps(broken, range(stop))
    broken.save()
    resumed = started(True, tmp_path)
    assert resumed.resume() and not resumed.optimizer.state_dict()[0]
    steps(resumed, range(stop, 24))
    assert_same(weights(resumed), weights(graph))
