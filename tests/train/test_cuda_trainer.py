"""Training on the device "cuda": as on the cpu, stopped and resumed, wrong where the cpu is."""

import math

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn
from minifcn.data import Loader
from minifcn.optim import SGD
from minifcn.train import trainer as trainer_module
from minifcn.train.interrupt import Interrupt
from minifcn.train.trainer import Trainer
from tests.train.squares import Squares, assert_same, make, net, weights

pytestmark = pytest.mark.parametrize("device", ["cuda"])

STEPS = 20


def test_twenty_steps_have_the_losses_of_numpy(device):
    there, here = make(device, model=net(0.0)), make("cpu", model=net(0.0))
    there.fit(), here.fit()
    assert len(there.losses) == STEPS and there.graph_reason == ""
    assert here.losses[-1] < 0.8 * here.losses[0]
    np.testing.assert_allclose(there.losses, here.losses, rtol=1e-4)
    for name, array in weights(here).items():
        np.testing.assert_allclose(weights(there)[name], array, rtol=1e-2, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("graph", [True, False])
def test_a_batch_without_a_counted_pixel_changes_nothing(device, graph):
    pictures = Squares(12, void=(2, 9))
    trainer = make(device, dataset=pictures, batch=1, epochs=2, graph=graph, model=net(0.0))
    trainer.loader = Loader(pictures, 1, shuffle=False)
    states = {}
    send = trainer.ahead.send

    def watched(x, target):
        before = weights(trainer)
        send(x, target)
        states[trainer.step_count] = before, weights(trainer)

    trainer.ahead.send = watched
    history = trainer.fit()
    nans = [number for number, loss in enumerate(trainer.losses) if math.isnan(loss)]
    assert nans == [2, 9, 14, 21] and trainer.skipped == 4
    for number, (before, after) in states.items():
        same = all((before[name] == after[name]).all() for name in before if name in after)
        assert same == (number in nans)
    assert math.isfinite(history[0]["loss"])
    assert trainer.out.getvalue().count("no pixel of the batch counts") == 1
    assert "step 2: " in trainer.out.getvalue()
    here = make("cpu", dataset=pictures, batch=1, epochs=2, model=net(0.0))
    here.loader = Loader(pictures, 1, shuffle=False)
    here.fit()
    np.testing.assert_allclose(trainer.losses, here.losses, rtol=1e-3)


@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("wrong", [0, 1, 5, 8])
def test_a_label_that_is_no_class_is_the_error_of_the_cpu(device, graph, wrong):
    def run(where, graph):
        pictures = Squares(10, wrong=(wrong,))
        trainer = make(where, dataset=pictures, batch=1, epochs=1, graph=graph, model=net(0.0))
        trainer.loader = Loader(trainer.loader.dataset, 1, shuffle=False)
        with pytest.raises(ValueError) as caught:
            trainer.fit()
        return trainer, str(caught.value)

    (there, said), (here, expected) = run(device, graph), run("cpu", None)
    assert said == expected and "is 9, but x has 3 classes" in said
    assert len(there.losses) == len(here.losses) == wrong and there.batch == here.batch
    for name, array in weights(here).items():  # but statistics: the cpu moves them first
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            np.testing.assert_allclose(weights(there)[name], array, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("graph", [True, False])
def test_after_a_bad_label_all_is_as_before_it_and_training_can_go_on(device, graph):
    def run(count):
        pictures = Squares(count, wrong=(5,))
        trainer = make(device, dataset=pictures, batch=1, epochs=1, graph=graph, read_every=1)
        trainer.loader = Loader(pictures, 1, shuffle=False)
        trainer.schedule = lambda step: 0.5
        return trainer

    there, good = run(8), run(5)
    good.fit()
    with pytest.raises(ValueError, match="is 9, but x has 3 classes"):
        there.fit()
    assert_same(weights(there), weights(good))
    before, (x, target) = weights(there), next(iter(there.loader.epoch(0, 6)))
    good.step(x, target)  # as the bad step, it draws one mask
    assert there.model.random_state() == good.model.random_state()
    assert math.isfinite(there.step(x, target))
    assert all((weights(there)[name] != array).any() for name, array in before.items())


@pytest.mark.parametrize("graph", [True, False])
def test_an_infinite_loss_stops_the_steps_behind_it(device, graph):
    def run(where, graph):
        model = nn.Sequential(nn.Conv2d(3, 3, 1, generator=np.random.default_rng(0)))
        trainer = make(where, epochs=4, model=model, graph=graph)
        trainer.loss = lambda output, target: (output * output).mean()
        trainer.schedule = lambda step: 1e25 if step == 8 else 0.1
        with pytest.raises(FloatingPointError) as caught:
            trainer.fit()
        return trainer, str(caught.value)

    (there, said), (here, expected) = run(device, graph), run("cpu", None)
    assert said == expected and "the loss is inf at step 9" in said
    assert len(there.losses) == 9 and there.batch == here.batch
    for name, array in weights(here).items():  # steps 10 and 11 were sent, and did nothing
        np.testing.assert_allclose(weights(there)[name], array, rtol=1e-3, err_msg=name)


def test_parameters_that_are_not_finite_are_an_error(device):
    trainer = make(device, epochs=1)
    with mf.no_grad():
        trainer.model[0].weight.fill_(math.nan)
    with pytest.raises(FloatingPointError, match="parameter 0.weight is not finite"):
        trainer.fit()


@pytest.mark.parametrize(
    "stop_after, precision", [(1, "float32"), (2, "float32"), (6, "float32"), (11, "float16")]
)
def test_a_stopped_run_goes_on_bit_for_bit(device, tmp_path, monkeypatch, stop_after, precision):
    whole = make(device, precision=precision)
    whole.fit()
    asked = []

    class Stop(Interrupt):
        def __enter__(self):
            asked.append(self)
            return self

    monkeypatch.setattr(trainer_module, "Interrupt", Stop)
    broken = make(device, tmp_path, precision=precision)
    send, done = broken.ahead.send, []

    def counted(x, target):
        done.append(1)
        asked[-1].asked = len(done) == stop_after
        send(x, target)

    broken.ahead.send = counted
    broken.fit()
    assert len(broken.losses) == stop_after

    other = make(device, tmp_path, model=net(seed=9), precision=precision)
    assert other.resume()
    other.fit()
    assert_same(weights(whole), weights(other))
    assert other.losses == whole.losses


def test_a_checkpoint_goes_from_device_to_device(device, tmp_path):
    make(device, tmp_path, epochs=2).fit()
    here = make("cpu", tmp_path, epochs=2)
    assert here.resume() and here.epoch == 2
    here.run = tmp_path / "back"
    here.save()
    there = make(device, tmp_path / "back", epochs=2)
    assert there.resume()
    assert_same(weights(here), weights(there))
    assert all(p.device == device for p in there.model.parameters())


def test_impossible_wishes_are_refused(device):
    with pytest.raises(ValueError, match="2 processes, expected 1, as the model is on 'cuda'"):
        make(device, processes=2)
    with pytest.raises(ValueError, match="graph is True, expected None or False"):
        make("cpu", graph=True)
    with pytest.raises(ValueError, match="precision is 'float16', expected 'float32'"):
        make("cpu", precision="float16")
    with pytest.raises(ValueError, match="read_every is 0, expected at least 1"):
        make(device, read_every=0)
    model = net().to(device)
    model[0].to("cpu")
    with pytest.raises(ValueError, match="parameters of the model are on cpu and cuda"):
        Trainer(model, SGD(list(model.parameters())), Loader(Squares(2), 1), epochs=1)
