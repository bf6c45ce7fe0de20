"""The trainer: it learns, goes on bit for bit after a stop, and says what it does."""

import io
import json
import math
from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn import files, nn
from minifcn.data import Classes, HotDogs, Loader
from minifcn.optim import SGD
from minifcn.optim.schedule import Poly
from minifcn.train import trainer as trainer_module
from minifcn.train.communicator import One
from minifcn.train.interrupt import Interrupt
from minifcn.train.loss import segmentation_loss
from minifcn.train.trainer import CHECKPOINT, Trainer

EPOCHS = 3


def net(seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False, generator=rng),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Dropout(0.2, seed=seed),
        nn.Conv2d(6, 2, 1, generator=rng),
    )


def make(run=None, dataset=None, epochs=EPOCHS, out=None, model=None, **options):
    model = model or net()
    loader = Loader(dataset or HotDogs(10, (24, 32)), 4, seed=5)
    optimizer = SGD(list(model.parameters()), lr=0.1, momentum=0.9)
    schedule = Poly(epochs * len(loader))
    return Trainer(
        model,
        optimizer,
        loader,
        epochs=epochs,
        schedule=schedule,
        run=run,
        out=out or io.StringIO(),
        **options,
    )


def weights(trainer):
    return {name: t.numpy().copy() for name, t in trainer.model.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert (a[name] == b[name]).all(), name


class Flat:
    """A data set of one picture whose label is `value` everywhere."""

    classes = Classes(("ground", "thing", "unknown"), void=2)

    def __init__(self, values):
        self.values = values
        self.names = [f"flat-{index}" for index in range(len(values))]

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        image = np.random.default_rng(index).integers(0, 256, (8, 8, 3)).astype(np.uint8)
        return image, np.full((8, 8), self.values[index], np.uint8)


def test_the_loss_falls():
    trainer = make(epochs=12)
    history = trainer.fit()
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    assert len(trainer.losses) == trainer.total_steps


def test_the_same_seed_gives_the_same_bits():
    first, second = make(), make()
    first.fit(), second.fit()
    assert_same(weights(first), weights(second))
    assert first.losses == second.losses


@pytest.mark.parametrize("stop_after", [1, 2, 3, 4, 7])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, monkeypatch, stop_after):
    whole = make()
    whole.fit()

    asked = []

    class Stop(Interrupt):
        def __enter__(self):
            asked.append(self)
            return self

    monkeypatch.setattr(trainer_module, "Interrupt", Stop)
    broken = make(tmp_path)
    step, done = broken.step, []

    def counted(x, target):
        done.append(1)
        if len(done) == stop_after:
            asked[-1].asked = True
        return step(x, target)

    broken.step = counted
    broken.fit()
    assert len(broken.losses) == stop_after
    assert "--resume" in broken.out.getvalue()

    other = make(tmp_path, model=net(seed=9))
    assert other.resume()
    assert other.step_count == stop_after
    other.fit()
    assert_same(weights(whole), weights(other))
    assert other.losses == whole.losses
    assert [row["loss"] for row in other.history] == [row["loss"] for row in whole.history]


def test_resume_without_a_checkpoint_says_no(tmp_path):
    assert not make(tmp_path).resume()
    assert not make().resume()


def test_another_number_of_epochs_cannot_resume(tmp_path):
    make(tmp_path).fit()
    with pytest.raises(ValueError) as caught:
        make(tmp_path, epochs=EPOCHS + 1).resume()
    assert "epochs is 3" in str(caught.value) and "4" in str(caught.value)


def test_a_batch_without_a_counted_pixel_is_skipped_and_said_so():
    trainer = make(dataset=Flat([2, 2, 2, 2]), epochs=1, loss=segmentation_loss(ignore_index=2))
    before = weights(trainer)
    history = trainer.fit()
    after = weights(trainer)
    assert_same(before, after)
    assert trainer.skipped == 1 and math.isnan(trainer.losses[0])
    assert history[0]["loss"] is None
    assert "no pixel of the batch counts" in trainer.out.getvalue()


def test_parameters_that_are_not_finite_are_an_error_not_a_skip():
    trainer = make(epochs=1)
    with mf.no_grad():
        trainer.model[4].weight[0, 0, 0, 0] = np.nan
    with pytest.raises(FloatingPointError) as caught:
        trainer.fit()
    assert "4.weight" in str(caught.value)


def test_the_regularizer_of_a_layer_joins_the_loss():
    def pull(weight):
        return (weight * weight).sum() * 10.0

    rng = np.random.default_rng(0)
    free = nn.Sequential(nn.Conv2d(3, 2, 1, generator=rng))
    rng = np.random.default_rng(0)
    held = nn.Sequential(nn.Conv2d(3, 2, 1, regularizer=pull, generator=rng))
    x = np.zeros((1, 3, 4, 4), np.float32)  # the loss itself gives the weight no gradient
    target = np.zeros((1, 4, 4), np.int64)
    start = free[0].weight.numpy().copy()
    for model in (free, held):
        make(model=model, epochs=1).step(x, target)
    np.testing.assert_array_equal(free[0].weight.numpy(), start)
    lr = 0.1
    np.testing.assert_allclose(held[0].weight.numpy(), start - lr * 20 * start, rtol=1e-5)


def test_scores_are_asked_for_when_due_and_in_eval_mode():
    modes = []
    trainer = make(epochs=5, evaluate_every=2)

    def scores():
        modes.append(trainer.model.training)
        return {"mIoU": 0.5}

    trainer.evaluate = scores
    trainer.fit()
    assert modes == [False] * 3  # after epochs 2, 4 and 5
    assert ["scores" in row for row in trainer.history] == [False, True, False, True, True]
    assert "mIoU 0.5000" in trainer.out.getvalue()


def test_the_schedule_reaches_the_parameters():
    trainer = make(epochs=1)
    trainer.schedule = lambda step: 0.0
    before = [p.numpy().copy() for p in trainer.model.parameters()]
    trainer.fit()
    assert all(
        (p.numpy() == q).all() for p, q in zip(trainer.model.parameters(), before, strict=True)
    )


def damaged(kind, data):
    if kind == "truncated":
        return data[: len(data) // 2]
    if kind == "huge header":
        return (2**62).to_bytes(8, "little") + data[8:]
    if kind == "flipped header":
        return data[:9] + bytes([data[9] ^ 0xFF]) + data[10:]
    return b""


@pytest.mark.parametrize("kind", ["truncated", "huge header", "flipped header", "empty"])
def test_a_damaged_checkpoint_is_named(tmp_path, kind):
    make(tmp_path, epochs=1).fit()
    path = tmp_path / CHECKPOINT
    path.write_bytes(damaged(kind, path.read_bytes()))
    with pytest.raises(files.FileError) as caught:
        make(tmp_path, epochs=1).resume()
    assert str(path) in str(caught.value)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / CHECKPOINT
    files.save(path, {"a": np.zeros(3)}, {"kind": "model", "format": 1})
    with pytest.raises(files.FileError, match="no checkpoint"):
        make(tmp_path).resume()
    path.write_bytes(b"")
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3)}, path)
    with pytest.raises(files.FileError, match="not written by minifcn"):
        make(tmp_path).resume()


def test_files_keep_every_dtype_and_shape(tmp_path):
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "half": rng.standard_normal((2, 3)).astype(np.float16),
        "double": rng.standard_normal((4, 1, 2)),
        "turned": rng.standard_normal((3, 5)).astype(np.float32).T,
        "count": np.array(7),
        "none": np.zeros((0, 3), np.float32),
    }
    meta = {"words": ["ä", None, 1.5], "deep": {"a": [1, 2]}}
    files.save(tmp_path / "f.safetensors", arrays, meta)
    back, same = files.load(tmp_path / "f.safetensors")
    assert same == meta and back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(back[name], array)


def test_nothing_half_written_is_left_when_writing_fails(tmp_path):
    path = tmp_path / "f.safetensors"
    files.save(path, {"a": np.zeros(2)}, {})
    old = path.read_bytes()
    with pytest.raises(TypeError):
        files.save(path, {"a": np.ones(2)}, {"no json": object()})
    assert path.read_bytes() == old and [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_history_is_json():
    trainer = make(epochs=1)
    assert json.loads(json.dumps(trainer.fit())) == trainer.history


@pytest.mark.parametrize("epochs", [0, -1])
def test_epochs_below_one_are_refused(epochs):
    trainer = make()
    with pytest.raises(ValueError, match=f"epochs is {epochs}"):
        Trainer(trainer.model, trainer.optimizer, trainer.loader, epochs=epochs)


def test_evaluate_every_no_epoch_is_refused():
    trainer = make()
    with pytest.raises(ValueError, match="evaluate_every is 0, expected at least 1"):
        Trainer(trainer.model, trainer.optimizer, trainer.loader, epochs=1, evaluate_every=0)


def test_impossible_numbers_of_processes_are_refused():
    given = make()
    parts = given.model, given.optimizer, given.loader
    with pytest.raises(ValueError, match="processes is 0, expected at least 1"):
        Trainer(*parts, epochs=1, processes=0)
    with pytest.raises(ValueError, match="5 processes, but batch_size of the loader is 4"):
        Trainer(*parts, epochs=1, processes=5)
    with pytest.raises(ValueError, match="processes is 2 and communicator is given"):
        Trainer(*parts, epochs=1, processes=2, communicator=One())


def test_ctrl_c_in_the_last_evaluation_does_not_call_a_whole_run_stopped(monkeypatch):
    asked = []

    class Stop(Interrupt):
        def __enter__(self):
            asked.append(self)
            return self

    def evaluate():
        asked[-1].asked = True
        return {}

    monkeypatch.setattr(trainer_module, "Interrupt", Stop)
    out = io.StringIO()
    trainer = make(epochs=1, out=out, evaluate=evaluate)
    assert len(trainer.fit()) == 1 and asked[-1].asked
    assert "epoch 1/1" in out.getvalue() and "stopped" not in out.getvalue()
