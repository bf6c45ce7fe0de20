"""Softmax, losses and counts on the device, beyond the contract: any labels, any axis, capture."""

from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn import functional as F
from minifcn.kernels import cupy_kernels, numpy_kernels, reference
from minifcn.kernels.cupy_kernels.numbers import Flags, kept_in
from tests.cuda_emu.find import Cuda
from tests.devices import host, on

K: Any = cupy_kernels
NUMPY: Any = numpy_kernels
LOOPS: Any = reference

CLASSES = [1, 2, 3, 5, 21, 64, 130]  # 1 to 32 lanes for a pixel


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# ---- softmax -------------------------------------------------------------------------------------


@pytest.mark.parametrize("C", CLASSES)
@pytest.mark.parametrize("axes", [1, 2, 3, 4, 5])
def test_softmax_along_every_axis(cuda: Cuda, C: int, axes: int, rng: np.random.Generator) -> None:
    x = 10 * rng.standard_normal((2, C, 3, 2, 2)[:axes])
    for axis in range(-axes, axes):
        for kernel in ("softmax", "log_softmax"):
            got = host(getattr(K, kernel)(on("cuda", x), axis))
            assert np.allclose(got, getattr(NUMPY, kernel)(x, axis), rtol=1e-12, atol=1e-15)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_infinite_logits_are_as_on_the_cpu(cuda: Cuda) -> None:
    inf, nan = np.inf, np.nan
    rows = np.array([[inf, 0, 1], [-inf, 0, 1], [-inf, -inf, -inf], [nan, 0, 1], [1e30, 0, -1e30]])
    for kernel in ("softmax", "log_softmax"):
        got = host(getattr(K, kernel)(on("cuda", rows), 1))
        assert np.allclose(got, getattr(NUMPY, kernel)(rows, 1), rtol=1e-14, equal_nan=True)


# ---- losses --------------------------------------------------------------------------------------


@pytest.mark.parametrize("C", CLASSES)
@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 2, 2)], ids=str)
@pytest.mark.parametrize("label", ["uint8", "int8", "int16", "uint32", "int64"])
def test_losses_of_any_labels_and_any_number_of_classes(
    cuda: Cuda, C: int, shape: tuple[int, ...], label: str, rng: np.random.Generator
) -> None:
    if C > np.iinfo(label).max:
        return
    ignore, smoothing = (255 if label == "uint8" else -1 if label[0] == "i" else 250), 0.25
    x, gy = rng.standard_normal((3, C, *shape)), rng.standard_normal((3, *shape))
    target = rng.integers(0, C, gy.shape)
    target[rng.random(gy.shape) < 0.3] = ignore
    target, weight = target.astype(label), rng.random(C)
    made = {}
    for twin, device in ((K, "cuda"), (NUMPY, "cpu")):
        a, g, t, w = (on(device, one) for one in (x, gy, target, weight))
        loss, top, total = twin.cross_entropy(a, t, w, ignore, smoothing)
        made[device] = (
            loss, top, total,
            twin.cross_entropy_grad(g, a, t, w, top, total, ignore, smoothing),
            twin.nll_loss(a, t, w, ignore),
            twin.nll_loss_grad(g, t, w, ignore, C),
            twin.target_weight(g, t, w, ignore, smoothing),
        )  # fmt: skip
    for got, expected in zip(made["cuda"], made["cpu"], strict=True):
        assert got.shape == expected.shape
        assert np.allclose(host(got), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("bad", [-7, 4, 2**40, -(2**40)])
def test_a_label_that_is_no_class_is_never_an_index(
    cuda: Cuda, bad: int, rng: np.random.Generator
) -> None:
    """Its loss is nan, nothing flows; the pixels beside it do not notice."""
    x, gy, weight = rng.standard_normal((2, 4, 3, 3)), rng.standard_normal((2, 3, 3)), np.ones(4)
    target = rng.integers(0, 4, gy.shape)
    right = target.copy()
    target[1, 2, 0] = bad
    elsewhere = right == target
    a, g, w = (on("cuda", one) for one in (x, gy, weight))
    made = []
    for labels in (target, right):
        t = on("cuda", labels)
        loss, top, total = K.cross_entropy(a, t, w, -100, 0.1)
        of_pixels = loss, K.nll_loss(a, t, w, -100), K.target_weight(g, t, w, -100, 0.1)
        of_logits = (
            K.cross_entropy_grad(g, a, t, w, top, total, -100, 0.1),
            K.nll_loss_grad(g, t, w, -100, 4),
        )
        made.append([*map(host, of_pixels), *(host(y).transpose(0, 2, 3, 1) for y in of_logits)])
    for number, (got, expected) in enumerate(zip(*made, strict=True)):
        assert np.array_equal(got[elsewhere], expected[elsewhere])
        assert np.isnan(got[1, 2, 0]).all() if number < 3 else not got[1, 2, 0].any()


# ---- are labels classes? -------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["uint8", "int8", "int32", "int64", "uint64"])
def test_the_first_bad_label_is_found_wherever_it_lies(cuda: Cuda, label: str) -> None:
    for places in ((), (0,), (599,), (300, 301, 17), (255, 256)):
        target = np.full((2, 300), 3, label)
        target.reshape(-1)[list(places)] = 9
        found = K.first_bad_label(on("cuda", target[:, ::-1]), 9, 100)
        assert found == NUMPY.first_bad_label(target[:, ::-1], 9, 100)
        assert K.first_bad_label(on("cuda", target), 9, 9) == -1
    assert K.first_bad_label(on("cuda", np.zeros((0, 4), label)), 2, 255) == -1


def test_a_step_sent_ahead_does_not_wait_for_its_labels(cuda: Cuda) -> None:
    flags, bad = Flags(), on("cuda", np.array([[0, 1], [5, 1]]))
    with kept_in(flags):
        assert K.first_bad_label(bad, 2, -100) == -1
        assert K.first_bad_label(bad, 6, -100) == -1
    assert host(flags.array)[:3].tolist() == [2, -1, -1]
    with kept_in(flags):  # the next step
        K.first_bad_label(bad, 6, -100)
    assert host(flags.array)[0] == -1


def test_a_bad_label_is_named_on_the_device_too(cuda: Cuda) -> None:
    x = mf.tensor(np.zeros((1, 2, 2, 2)), device="cuda")
    target = mf.tensor(np.array([[[0, 1], [2, 1]]]), device="cuda")
    with pytest.raises(ValueError, match=r"element \(0, 1, 0\) \(N H W\) of target is 2"):
        F.cross_entropy(x, target)


# ---- counts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("C", [*CLASSES, 111])  # from 111 on the matrix is not in shared memory
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_confusion_counts_as_loops_do(
    cuda: Cuda, C: int, dtype: Any, rng: np.random.Generator
) -> None:
    x = rng.integers(0, 3, (2, C, 9, 11)).astype(dtype)  # with equals
    x[rng.random(x.shape) < 0.02] = np.nan
    x[rng.random(x.shape) < 0.02] = -np.inf
    target = rng.integers(-1, C + 1, (2, 9, 11))  # some are no classes
    for ignore in (None, 0, 255):
        expected = LOOPS.confusion(x, target, ignore)
        assert np.array_equal(NUMPY.confusion(x, target, ignore), expected)
        got = K.confusion(on("cuda", x), on("cuda", target), ignore)
        assert got.dtype == np.int64
        assert np.array_equal(host(got), expected)
        labels = on("cuda", np.where(target < 0, 200, target).astype(np.uint8))
        assert np.array_equal(host(K.confusion(on("cuda", x), labels, ignore)), expected)


def test_confusion_of_no_pixels_is_nought(cuda: Cuda) -> None:
    x, target = on("cuda", np.zeros((0, 3, 2, 2))), on("cuda", np.zeros((0, 2, 2), np.int64))
    assert not host(K.confusion(x, target, None)).any()
