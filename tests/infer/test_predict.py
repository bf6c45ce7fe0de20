"""From photo to class map: normalised, whole or by tiles, counted."""

from __future__ import annotations

import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minifcn as mf
from minifcn.infer.memory import measure_bytes_per_pixel
from minifcn.infer.predict import predict_image
from minifcn.models import SmallEncoder
from minifcn.modes import no_grad

ROOT = Path(__file__).resolve().parents[2]
COLOURS = ((250, 10, 20), (30, 240, 40), (50, 60, 230), (0, 0, 0))
CLASSES = SimpleNamespace(names=("red", "green", "blue", "void"), colours=COLOURS, void=3)


def normalize(image):
    """H W 3 -> 3 H W, as float32 in 0..1."""
    assert image.dtype == np.uint8 and image.ndim == 3
    return (image / 255).astype(np.float32).transpose(2, 0, 1)


def nearest(x):
    """Logits: minus the squared distance to each of three colours."""
    assert x.dtype == np.float32 and x.shape[1] == 3
    palette = np.array(COLOURS[:3]) / 255
    return np.stack(
        [-((x - c[:, None, None]) ** 2).sum(axis=1) for c in palette.astype(np.float32)], axis=1
    )


def predict(image, forward=nearest, **changes):
    arguments = {"stride": 1, "margin": 0} | changes
    return predict_image(forward, image, normalize, CLASSES, **arguments)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 9), st.booleans())
def test_each_pixel_gets_its_class(H, W, seed, tiled):
    truth = np.random.default_rng(seed).integers(0, 3, (H, W))
    image = np.array(COLOURS, np.uint8)[truth]
    limits = {"bytes_per_pixel": 1, "memory_limit": 7} if tiled else {}
    got = predict(image, **limits)
    np.testing.assert_array_equal(got.class_map, truth)
    assert got.class_map.dtype == np.uint8 and got.class_map.shape == (H, W)
    assert got.shares["red"] == pytest.approx((truth == 0).mean()) and got.shares["void"] == 0
    assert got.probability is None and got.seconds > 0


def test_a_sure_pixel_is_likelier_than_a_doubtful_one():
    image = np.array([[COLOURS[0], (140, 125, 30)]], np.uint8)
    got = predict(image, lambda x: 10 * nearest(x), probability=True)
    assert got.probability.shape == (1, 2)
    assert got.probability[0, 0] > 0.99 > got.probability[0, 1] > 1 / 3


def test_a_large_photo_is_cut_by_the_measured_memory():
    sizes = []

    def hungry(x):
        sizes.append(x.shape[2] * x.shape[3])
        work = np.ones((100, *x.shape[2:]), np.float32)
        return nearest(x) * work[0]

    image = np.array(COLOURS, np.uint8)[np.random.default_rng(0).integers(0, 3, (600, 500))]
    whole = predict(image, hungry).class_map
    assert max(sizes) == 600 * 500
    sizes.clear()
    tiled = predict(image, hungry, memory_limit=40 << 20)
    np.testing.assert_array_equal(tiled.class_map, whole)
    assert max(sizes) * 400 < 40 << 20 < 600 * 500 * 400


@pytest.mark.parametrize("maps", [10, 50])
def test_the_measured_memory_is_what_is_allocated(maps):
    def forward(x):
        return np.ones((1, maps, *x.shape[2:]), np.float32)

    got = measure_bytes_per_pixel(forward, channels=3, stride=8)
    assert got == pytest.approx(4 * maps + 4 * 3, rel=0.02)


def test_memory_is_measured_while_somebody_else_measures():
    tracemalloc.start()
    before = np.ones(10**7)  # freed again: no peak of the network's
    del before
    try:
        got = measure_bytes_per_pixel(lambda x: x + 1, channels=2)
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()
    assert got == pytest.approx(16, rel=0.02)


@pytest.mark.parametrize("channels", [2, 5])
def test_a_network_of_other_classes(channels):
    def forward(x):
        return np.zeros((1, channels, *x.shape[2:]), np.float32)

    words = rf"axis 1 \(K\) of the logits is {channels}, but there are 3 classes \(4 with void\)"
    with pytest.raises(ValueError, match=f"predict: {words}"):
        predict(np.zeros((2, 2, 3), np.uint8), forward)


@pytest.mark.parametrize("shape, dtype", [((2, 2, 3), float), ((2, 2), "u1"), ((0, 2, 3), "u1")])
def test_no_photo(shape, dtype):
    with pytest.raises(ValueError, match="predict: image is .*expected uint8 H W 3"):
        predict(np.zeros(shape, dtype))


BESIDE_THREADS = """
import threading, time
import numpy as np
from minifcn.infer.memory import measure_bytes_per_pixel

def forward(x):
    return np.ones((1, 4, *x.shape[2:]), np.float32)

def work():
    bytes_, y = np.zeros((40, 30, 3), np.uint8).transpose(2, 0, 1), np.empty((3, 40, 30), "f4")
    while time.monotonic() < end:
        np.multiply(bytes_, np.ones((3, 1, 1), "f4"), out=np.empty_like(y))

end = time.monotonic() + 6
for _ in range(4):
    threading.Thread(target=work).start()
while time.monotonic() < end:
    assert measure_bytes_per_pixel(forward) > 0
"""


def test_measuring_beside_threads_that_make_arrays_does_not_crash():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", BESIDE_THREADS], cwd=ROOT)
    assert done.returncode == 0


def test_beside_threads_the_kernels_memory_is_counted_and_a_quarter_more():
    """About what is measured in peace, whatever the other threads do."""
    net = SmallEncoder(width=8, depth=2)
    shape = (1, 3, 192, 192)

    def forward(x):
        assert x.shape == shape
        with no_grad():
            return net(mf.tensor(x))[0].data

    alone = measure_bytes_per_pixel(forward)
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        beside = measure_bytes_per_pixel(forward)
    finally:
        stop.set()
        other.join()
    assert 0.95 * alone < beside < 1.4 * alone
