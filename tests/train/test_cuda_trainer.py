"""Training on the device "cuda": as on the cpu, with and without a graph, stopped and resumed."""

import io
import math

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn
from minifcn.data import Classes, Loader
from minifcn.optim import SGD, GradScaler
from minifcn.optim.schedule import Poly
from minifcn.train import trainer as trainer_module
from minifcn.train.interrupt import Interrupt
from minifcn.train.loss import segmentation_loss
from minifcn.train.trainer import Trainer

pytestmark = pytest.mark.parametrize("device", ["cuda"])

VOID = 3
STEPS = 20


class Squares:
    """Noise with bright squares; the label says in which third of its range each square is."""

    classes = Classes(("ground", "dim", "bright", "unknown"), void=VOID)

    def __init__(self, count, size=(8, 12), void=(), wrong=()):
        self.count, self.size, self.void, self.wrong = count, size, void, wrong
        self.names = [f"square-{index}" for index in range(count)]

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        H, W = self.size
        rng = np.random.default_rng([7, index])
        image = rng.integers(0, 60, (H, W, 3)).astype(np.uint8)
        label = np.zeros((H, W), np.uint8)
        h, w = rng.integers(0, H - 3), rng.integers(0, W - 3)
        kind = 1 + index % 2
        image[h : h + 4, w : w + 4] += np.uint8(80 * kind)
        label[h : h + 4, w : w + 4] = kind
        label[:1] = VOID
        if index in self.void:
            label[:] = VOID
        if index in self.wrong:
            label[2, 5] = 9
        return image, label


def net(dropout=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False, generator=rng),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(dropout, seed=seed),
        nn.Conv2d(6, 8, 3, padding=1, generator=rng, regularizer=nn.L2(1e-3)),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 3, 2, stride=2, generator=rng),
    )


def make(device, run=None, dataset=None, epochs=5, model=None, batch=2, **options):
    model = (model or net()).to(device)
    loader = Loader(dataset or Squares(8), batch, seed=5)
    optimizer = SGD(list(model.parameters()), lr=0.1, momentum=0.9, weight_decay=1e-3)
    return Trainer(
        model,
        optimizer,
        loader,
        epochs=epochs,
        loss=segmentation_loss(VOID, np.array([0.5, 1.0, 2.0], np.float32)),
        schedule=Poly(epochs * len(loader)),
        run=run,
        out=io.StringIO(),
        **options,
    )


def weights(trainer):
    arrays, _ = trainer.optimizer.state_dict()
    return arrays | {name: t.numpy().copy() for name, t in trainer.model.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_twenty_steps_have_the_losses_of_numpy(device):
    there, here = make(device, model=net(0.0)), make("cpu", model=net(0.0))
    there.fit(), here.fit()
    assert len(there.losses) == STEPS and there.graph_reason == ""
    assert here.losses[-1] < 0.8 * here.losses[0]
    np.testing.assert_allclose(there.losses, here.losses, rtol=1e-4)
    for name, array in weights(here).items():
        np.testing.assert_allclose(weights(there)[name], array, rtol=1e-2, atol=1e-4, err_msg=name)


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
    assert ("test_cuda_trainer.py:" in asked.graph_reason) == (kind in (Curious, Sending))
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
