"""A training step as a CUDA graph: the same bits; made anew when it must be; or why it is none."""

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn
from minifcn.train.loss import segmentation_loss
from tests.train.squares import VOID, Squares, assert_same, make, net, weights

pytestmark = pytest.mark.parametrize("device", ["cuda"])


@pytest.mark.parametrize("read_every", [1, 3, 10])
def test_a_graph_changes_no_bit(device, read_every):
    with_graph = make(device, read_every=read_every)
    without = make(device, graph=False)
    with_graph.fit(), without.fit()
    assert with_graph.graph_reason == "" and with_graph.ahead.recorded is not None
    assert without.ahead.recorded is None
    assert with_graph.losses == without.losses
    assert_same(weights(with_graph), weights(without))
    assert with_graph.model.random_state() == without.model.random_state()


def test_an_odd_last_batch_goes_beside_the_graph(device):
    pictures = Squares(7)  # batches of 2, 2, 2 and 1
    with_graph, without = (make(device, dataset=pictures, graph=g, epochs=3) for g in (True, False))
    with_graph.fit(), without.fit()
    assert with_graph.ahead.recorded is not None
    assert with_graph.losses == without.losses
    assert_same(weights(with_graph), weights(without))
    here = make("cpu", dataset=pictures, epochs=3, model=net(0.0))
    there = make(device, dataset=pictures, epochs=3, model=net(0.0))
    here.fit(), there.fit()
    np.testing.assert_allclose(there.losses, here.losses, rtol=1e-4)


class Curious(nn.Module):
    """Looks at the values on its way."""

    def __init__(self):
        self.inner = net(0.0)

    def forward(self, x):
        y = self.inner(x)
        return y * 2.0 if y.numpy().mean() > 0 else y


class Restless(nn.Module):
    """Draws from its generator on the host."""

    def __init__(self):
        self.inner, self.generator = net(0.0), np.random.default_rng(3)

    def forward(self, x):
        return self.inner(x) * float(self.generator.uniform(0.5, 1.5))


class Twisting(Restless):
    """The same with a generator whose state holds an array."""

    def __init__(self):
        super().__init__()
        self.generator = np.random.Generator(np.random.MT19937(3))


class Counting(nn.Module):
    """Behaves otherwise from its fifth call on."""

    def __init__(self):
        self.inner, self.calls = net(0.0), 0

    def forward(self, x):
        self.calls += 1
        return self.inner(x) * (2.0 if self.calls > 4 else 1.0)


class Growing(nn.Module):
    """Uses a parameter from its third call on, which a capture would be the first to see."""

    def __init__(self):
        self.inner, self.gain, self.calls = net(0.0), nn.Parameter(np.ones(1, np.float32)), []

    def forward(self, x):
        self.calls.append(1)
        y = self.inner(x)
        return y if len(self.calls) < 3 else y * self.gain


class Sending(nn.Module):
    """Makes a tensor of the host's numbers in every call."""

    def __init__(self):
        self.inner = net(0.0)

    def forward(self, x):
        return self.inner(x) * mf.tensor([2.0], device=x.device)


@pytest.mark.parametrize(
    "kind, reason",
    [
        (Curious, "waits for a value from the GPU"),
        (Sending, "an array of the host goes to the GPU in every step"),
        (Restless, "the model draws random numbers on the host"),
        (Twisting, "the model draws random numbers on the host"),
        (Counting, "the model sets its attribute calls anew in every step"),
        (Growing, "a parameter has a gradient that it did not have before"),
    ],
)
def test_what_cannot_be_a_graph_is_trained_without_and_says_why(device, kind, reason):
    asked, plain = make(device, model=kind()), make(device, model=kind(), graph=False)
    asked.fit(), plain.fit()
    assert reason in asked.graph_reason and asked.ahead.recorded is None
    assert asked.out.getvalue().count("no CUDA graph: ") == 1
    assert ("test_cuda_graphs.py:" in asked.graph_reason) == (kind in (Curious, Sending))
    assert "no CUDA graph" not in plain.out.getvalue()
    assert asked.losses == plain.losses
    assert_same(weights(asked), weights(plain))


CHANGES = {
    "a frozen layer": lambda t: t.model[0].requires_grad_(False),
    "a norm that does not learn": lambda t: t.model[1].eval(),
    "another momentum": lambda t: t.optimizer.param_groups[0].update(momentum=0.5),
    "another decay": lambda t: t.optimizer.param_groups[0].update(weight_decay=0.1),
    "other weights": lambda t: t.model[0].weight.replace((t.model[0].weight * 2).data),
    "another loss": lambda t: setattr(t, "loss", segmentation_loss(VOID)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_graph_is_made_anew_for_a_changed_model(device, what):
    trainer, other = make(device), make(device, graph=False)
    recorded = []
    for one in (trainer, other):
        batches = list(one.loader.epoch(0))
        for x, target in batches:
            one.step(x, target)
        recorded.append(one.ahead.recorded)
        CHANGES[what](one)
        for x, target in batches:
            one.step(x, target)
    assert trainer.ahead.recorded not in (None, *recorded)
    assert_same(weights(trainer), weights(other))


def test_a_graph_is_kept_for_another_learning_rate(device):
    trainer, other = make(device), make(device, graph=False)
    for one in (trainer, other):
        batches = list(one.loader.epoch(0))
        for x, target in batches:
            one.step(x, target)
        recorded = one.ahead.recorded
        one.optimizer.param_groups[0].update(lr=0.05, lr_mult=0.5)
        for x, target in batches:
            one.step(x, target)
        assert one.ahead.recorded is recorded
    assert_same(weights(trainer), weights(other))


def test_single_steps_give_their_loss_and_leave_gradients(device):
    trainer, other = make(device), make(device, graph=False)
    batches = list(trainer.loader.epoch(0)) * 2
    for x, target in batches:
        assert trainer.step(x, target) == other.step(x, target)
        for p, q in zip(trainer.model.parameters(), other.model.parameters(), strict=True):
            np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())
        trainer.optimizer.zero_grad()  # the next step leaves them anew
    assert trainer.ahead.recorded is not None and trainer.losses == []


def test_a_kept_graph_notices_a_step(device):
    trainer = make(device)
    batches = list(trainer.loader.epoch(0))
    for x, target in batches:
        trainer.step(x, target)
    weight = trainer.model[0].weight
    y = (weight * weight).sum()
    trainer.step(*batches[0])
    with pytest.raises(RuntimeError, match="has changed since"):
        y.backward()


def test_scores_between_epochs_do_not_disturb_a_graph(device):
    seen = []
    trainer, other = make(device, epochs=3), make(device, epochs=3, graph=False)
    for one in (trainer, other):
        x = mf.tensor(next(iter(one.loader.epoch(0)))[0], device=device)

        def evaluate(one=one, x=x):
            with mf.no_grad():
                seen.append(one.model(x).numpy())
            return {}

        one.evaluate = evaluate
        one.fit()
    for a, b in zip(seen[:3], seen[3:], strict=True):
        np.testing.assert_array_equal(a, b)
    assert_same(weights(trainer), weights(other))
