"""Loader: the right batches, the same ones every time, and a thread that leaves when it should."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from minifcn.data import Classes, Compose, Loader, Normalize, RandomCrop, RandomFlip
from minifcn.shapes import ShapeError


@dataclass(frozen=True)
class Numbered:
    """Image i is filled with i; its label is i everywhere but for one pixel that is void."""

    sizes: tuple[tuple[int, int], ...]
    broken: int = -1

    @property
    def names(self):
        return [f"file{i}.png" for i in range(len(self.sizes))]

    @property
    def classes(self):
        return Classes(("a", "b"), void=255)

    def __len__(self):
        return len(self.sizes)

    def __getitem__(self, i):
        if i == self.broken:
            raise ValueError(f"{self.names[i]}: is corrupt")
        H, W = self.sizes[i]
        noise = np.random.default_rng(i).integers(0, 9, (H, W, 3), dtype=np.uint8)
        label = np.full((H, W), i, dtype=np.uint8)
        label[0, 0] = 255
        return noise * 25, label


@dataclass(frozen=True)
class Fails:
    at: int

    def __call__(self, rng, image, label):
        if label[1, 1] == self.at:
            raise ZeroDivisionError("no luck")
        return image, label


FLOATS: Any = np.zeros((3, 4, 3))
AUGMENT = Compose((RandomFlip(0.5), RandomCrop((4, 4))))


def numbered(count, broken=-1):
    return Numbered(((5, 6),) * count, broken)


def shown(batches):
    """Which images the batches show, in order."""
    return [int(label[1, 1]) for _, target in batches for label in target]


def assert_same(one, two):
    assert len(one) == len(two)
    for (x, target), (x2, target2) in zip(one, two, strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(target, target2)


def workers():
    return [t for t in threading.enumerate() if t.name.startswith("minifcn-loader")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not workers()


def test_every_image_comes_once_per_epoch_and_epochs_differ():
    loader = Loader(numbered(11), batch_size=4)
    epochs = [shown(loader.epoch(e)) for e in range(4)]
    for e, order in enumerate(epochs):
        assert sorted(order) == list(range(11))
        assert order == loader.order(e)
    assert len({tuple(order) for order in epochs}) == 4
    assert shown(replace(loader, seed=1).epoch(0)) != epochs[0]
    assert shown(replace(loader, shuffle=False).epoch(5)) == list(range(11))


@pytest.mark.parametrize(
    ("count", "drop", "sizes"), [(11, False, [4, 4, 3]), (11, True, [4, 4]), (8, False, [4, 4])]
)
def test_length_and_last_batch(count, drop, sizes):
    loader = Loader(numbered(count), batch_size=4, drop_last=drop)
    assert [len(x) for x, _ in loader.epoch(0)] == sizes
    assert len(loader) == len(sizes)


def test_layout_and_types():
    x, target = next(iter(Loader(numbered(3), batch_size=3, shuffle=False).epoch(0)))
    assert x.shape == (3, 3, 5, 6) and x.dtype == np.float32 and x.flags.c_contiguous
    assert target.shape == (3, 5, 6) and target.dtype == np.int64
    assert (target[:, 0, 0] == 255).all()  # void keeps its value


def test_normalize_is_its_formula():
    image = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    mean, std = (0.2, 0.4, 0.6), (0.1, 0.5, 0.9)
    x = Normalize(mean, std)(image)
    for n, c, i, j in np.ndindex(x.shape):
        expected = (int(image[n, i, j, c]) / 255 - mean[c]) / std[c]
        assert x[n, c, i, j] == pytest.approx(expected, abs=2e-6)
    np.testing.assert_array_equal(Normalize(mean, std)(image[1]), x[1])


@pytest.mark.parametrize("prefetch", [0, 1, 3, 50])
def test_prefetching_changes_nothing(prefetch):
    plain = Loader(numbered(10), batch_size=3, transform=AUGMENT, prefetch=0)
    for e in (0, 3):
        assert_same(list(plain.epoch(e)), list(replace(plain, prefetch=prefetch).epoch(e)))


@pytest.mark.parametrize("start", [0, 1, 3, 4])
def test_an_epoch_resumes_in_the_middle_with_the_same_bits(start):
    loader = Loader(numbered(10), batch_size=3, transform=AUGMENT)
    assert_same(list(loader.epoch(2))[start:], list(loader.epoch(2, start)))


def test_a_sample_does_not_depend_on_the_batch_it_is_in():
    """Its generator comes from (seed, epoch, image) alone."""

    def by_image(batch_size):
        loader = Loader(numbered(9), batch_size=batch_size, transform=AUGMENT)
        return {
            i: x
            for k, (xs, _) in enumerate(loader.epoch(1))
            for i, x in zip(loader.order(1)[k * batch_size :], xs, strict=False)
        }

    small, large = by_image(2), by_image(9)
    for i in range(9):
        np.testing.assert_array_equal(small[i], large[i])


def test_transforms_differ_between_epochs():
    loader = Loader(numbered(6), batch_size=6, shuffle=False, transform=AUGMENT)
    (first, _), (second, _) = next(iter(loader.epoch(0))), next(iter(loader.epoch(1)))
    assert (first != second).any()


@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_corrupt_file_surfaces_with_its_name_after_the_good_batches(prefetch):
    loader = Loader(numbered(9, broken=7), 2, shuffle=False, prefetch=prefetch)
    batches = loader.epoch(0)
    for _ in range(3):
        next(batches)
    with pytest.raises(ValueError, match=r"file7\.png: is corrupt"):
        next(batches)


def test_a_failing_transform_names_the_image():
    loader = Loader(numbered(5), 5, transform=Fails(at=3))
    with pytest.raises(RuntimeError, match=r"file3\.png.*no luck") as caught:
        list(loader.epoch(0))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_leaving_early_ends_the_thread():
    batches = Loader(numbered(100), 1, prefetch=4).epoch(0)
    next(batches)
    assert workers()
    del batches  # the consumer's loop was left by break or by an exception
    assert not workers()


def test_an_interrupt_in_the_consumer_ends_the_thread():
    with pytest.raises(KeyboardInterrupt):
        for _ in Loader(numbered(100), 1, prefetch=4).epoch(0):
            raise KeyboardInterrupt


def test_images_of_different_sizes_are_named_with_a_way_out():
    mixed = Numbered(((5, 6), (5, 6), (5, 7)))
    with pytest.raises(ShapeError) as caught:
        list(Loader(mixed, 3, shuffle=False).epoch(0))
    for word in ("file0.png", "5 x 6", "file2.png", "5 x 7", "size", "RandomCrop", "batch_size 1"):
        assert word in str(caught.value)
    assert len(list(Loader(mixed, 1).epoch(0))) == 3
    cropped = Loader(mixed, 3, transform=RandomCrop((4, 4)))
    assert next(iter(cropped.epoch(0)))[0].shape == (3, 3, 4, 4)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Loader(numbered(3), 0), ["batch_size", "0", "at least 1"]),
        (lambda: Loader(numbered(3), 1, prefetch=-1), ["prefetch", "-1"]),
        (lambda: Loader(numbered(3), 1, seed=-4), ["seed", "-4"]),
        (lambda: Loader(numbered(0), 1), ["dataset is empty"]),
        (lambda: Loader(numbered(3), 4, drop_last=True), ["drop_last", "3 images", "4"]),
        (lambda: Loader(numbered(3), 1).epoch(0, 4), ["batch 4", "0..3"]),
        (lambda: Loader(numbered(3), 1).epoch(-1), ["epoch -1"]),
        (lambda: Normalize((0, 0, 0), (1, 0, 1)), ["std", "above 0"]),
        (lambda: Normalize()(FLOATS), ["float64", "uint8", "H W 3"]),
        (lambda: Normalize()(np.zeros((3, 4, 4), np.uint8)), ["(3, 4, 4)", "H W 3"]),
    ],
)
def test_wrong_arguments_are_named(make, words):
    with pytest.raises(ValueError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)


SLOW_READER = """
import signal, time
from test_loader import Loader, numbered

class Slow(type(numbered(1))):
    def __getitem__(self, i):
        time.sleep(0.05)
        print(".", end="", flush=True)
        return super().__getitem__(i)

batches = Loader(Slow(((5, 6),) * 240), 40, prefetch=2).epoch(0)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
print("ready", flush=True)
for batch in batches:
    pass
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send an interrupt to a child")
def test_ctrl_c_stops_a_wait_for_the_thread():
    """The first batch takes 2 s, the epoch 12 s; an interrupt while waiting ends it long before."""
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.pathsep.join([here, *sys.path])
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW_READER],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    time.sleep(0.5)  # into the wait for the first batch
    child.send_signal(signal.SIGINT)
    try:
        dots, errors = child.communicate(timeout=60)
    finally:
        child.kill()
    assert 0 < dots.count(".") < 240  # not the rest of the epoch
    assert "KeyboardInterrupt" in errors
    assert child.returncode != 0


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("prefetch", [0, 1])
def test_shares_side_by_side_are_the_batch(n, prefetch):
    loader = Loader(numbered(11), 4, transform=AUGMENT, prefetch=prefetch, seed=2)
    shares = [list(loader.share(k, n).epoch(1, 1)) for k in range(n)]
    whole = list(loader.epoch(1, 1))
    for place, (x, target) in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([s[place][0] for s in shares]), x)
        np.testing.assert_array_equal(np.concatenate([s[place][1] for s in shares]), target)
        sizes = [len(s[place][0]) for s in shares]
        assert max(sizes) - min(sizes) <= 1
        for share in shares:  # an empty one has the size and the types of the others
            assert share[place][0].shape[1:] == x.shape[1:]
            assert (share[place][0].dtype, share[place][1].dtype) == (x.dtype, target.dtype)
    assert len(loader.share(0, n)) == len(loader)


@pytest.mark.parametrize(("k", "n"), [(0, 0), (2, 2), (-1, 2)])
def test_a_share_that_does_not_exist_is_named(k, n):
    with pytest.raises(ValueError, match=r"Loader\.share: "):
        Loader(numbered(3), 1).share(k, n)
    with pytest.raises(ValueError, match=r"^Loader: part is \(.*\), expected \(k, n\)"):
        Loader(numbered(3), 1, part=(k, n))
