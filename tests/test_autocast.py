"""Autocast: which function runs in which precision, that gradients come back in float32, and that a
parameter is cast once a step. A GPU is played by the emulator, unless there is one.
"""

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn import nn, optim
from minifcn.graph import Node
from minifcn.modes import mode

needs_bfloat16 = pytest.mark.skipif(find_spec("ml_dtypes") is None, reason="needs ml_dtypes")
both = pytest.mark.parametrize("low", ["float16", pytest.param("bfloat16", marks=needs_bfloat16)])

ROUNDING = {"float16": 2.0**-11, "bfloat16": 2.0**-8}  # half a unit in the last place, relative


def on_cuda(array: Any, requires_grad: bool = False) -> mf.Tensor:
    return mf.tensor(np.asarray(array, "f4"), device="cuda", requires_grad=requires_grad)


def drawn(*shape: int, seed: int = 0, requires_grad: bool = False) -> mf.Tensor:
    return on_cuda(np.random.default_rng(seed).standard_normal(shape), requires_grad)


def network(seed: int = 1) -> nn.Module:
    """Convolution, transposed too, batch norm with and without ReLU, a skip, pooling, a bias."""
    g = np.random.default_rng(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False, generator=g),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 1, bias=False, generator=g),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 4, 3, padding=1, generator=g),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1, generator=g),
    )
    return net.to("cuda")


def batch(seed: int = 0) -> tuple[mf.Tensor, mf.Tensor]:
    """Noise; the class of a pixel is its largest channel."""
    x = np.random.default_rng(seed).standard_normal((2, 3, 8, 8))
    return on_cuda(x), mf.tensor(x.argmax(1), device="cuda")


def gradients(net: nn.Module, low: str | None) -> tuple[float, list[Any]]:
    x, target = batch()
    if low is None:
        loss = F.cross_entropy(net(x), target)
    else:
        with mf.autocast(low):
            loss = F.cross_entropy(net(x), target)
    found = mf.grad(loss, list(net.parameters()))
    return loss.item(), [g.numpy() for g in found]


@contextmanager
def casts() -> Iterator[list[tuple[str, tuple[int, ...]]]]:
    """(type, shape) of whatever is cast, as it happens."""
    made: list[tuple[str, tuple[int, ...]]] = []

    def note(op: Any, inputs: Any, y: Any) -> None:
        if op.name == "cast":
            made.append((op.dtype, y.shape))

    mode.trace = note
    try:
        yield made
    finally:
        mode.trace = None


# ---- what runs in which precision ----------------------------------------------------------------

LOW: dict[str, Callable[..., mf.Tensor]] = {  # of an image in float32
    "conv2d": lambda x: F.conv2d(x, drawn(2, 4, 3, 3), drawn(2)),
    "conv2d, relu": lambda x: F.conv2d(x, drawn(2, 4, 1, 1), drawn(2), relu=True),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, drawn(4, 2, 2, 2), drawn(2), stride=2),
    "conv2d_weight": lambda x: F.conv2d_weight(x, x, 3, padding=1),
    "matmul": lambda x: x @ drawn(4, 2),
    "linear": lambda x: F.linear(x, drawn(3, 4), drawn(3)),
}

LIKE: dict[str, Callable[..., mf.Tensor]] = {  # half of half, float32 of float32
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "clamp": lambda x: F.clamp(x, -1, 1),
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2),
    "interpolate": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "dropout": lambda x: F.dropout(x, 0.5, generator=np.random.default_rng(0)),
    "prelu": lambda x: F.prelu(x, drawn(4)),
    "cat": lambda x: F.cat([x, x], 1),
    "add": lambda x: x + x,
    "scale": lambda x: 0.5 * x - 1,
    "reshape": lambda x: x.reshape(2, -1),
    "index": lambda x: x[:, 1:],
    "pad": lambda x: F.pad(x, (1, 1)),
    "batch_norm": lambda x: F.batch_norm(x, None, None, drawn(4), drawn(4), training=True),
    "batch_norm, relu": lambda x: F.batch_norm(x, None, None, drawn(4), training=True, relu=True),
    "batch_norm of old": lambda x: F.batch_norm(x, drawn(4), drawn(4) ** 2, drawn(4), drawn(4)),
    "nothing but a norm": lambda x: F.batch_norm(x, drawn(4), drawn(4) ** 2, relu=True),
}

LABELS = np.random.default_rng(3).integers(0, 4, (2, 4, 4))

WIDE: dict[str, Callable[..., mf.Tensor]] = {  # of an image in half precision
    "sum": lambda x: x.sum(),
    "mean": lambda x: x.mean((2, 3)),
    "var": lambda x: x.var(1),
    "softmax": lambda x: F.softmax(x, 1),
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "cross_entropy": lambda x: F.cross_entropy(x, mf.tensor(LABELS, device="cuda")),
    "cross_entropy of probabilities": lambda x: F.cross_entropy(x, F.softmax(x, 1)),
    "nll_loss": lambda x: F.nll_loss(x, mf.tensor(LABELS, device="cuda")),
    "mse_loss": lambda x: F.mse_loss(x, drawn(2, 4, 4, 4)),
    "binary_cross_entropy_with_logits": lambda x: F.binary_cross_entropy_with_logits(x, x * 0),
    "exp": F.exp,
    "log": F.log,
    "pow": lambda x: x**2,
    "sqrt": F.sqrt,
    "softplus": F.softplus,
    "half and float32": lambda x: x + drawn(2, 4, 4, 4),
    "where": lambda x: F.where(x > 0, x, drawn(2, 4, 4, 4)),
    "cat of both": lambda x: F.cat([x, drawn(2, 4, 4, 4)], 1),
}


@both
@pytest.mark.parametrize("name", LOW)
def test_products_run_low(name: str, low: str, cuda: Any) -> None:
    x = drawn(2, 4, 4, 4)
    expected = LOW[name](x)
    with mf.autocast(low):
        y = LOW[name](x)
    assert y.dtype.name == low
    close(y, expected, 4 * ROUNDING[low])


@both
@pytest.mark.parametrize("name", LIKE)
def test_what_has_no_choice_stays_as_it_is(name: str, low: str, cuda: Any) -> None:
    x = drawn(2, 4, 4, 4).astype(low)
    with mf.autocast(low):
        y = LIKE[name](x)
        wide = LIKE[name](x.float())
    assert (y.dtype.name, wide.dtype.name) == (low, "float32")
    close(y, wide, 2 * ROUNDING[low])


@both
@pytest.mark.parametrize("name", WIDE)
def test_sums_and_losses_run_in_float32(name: str, low: str, cuda: Any) -> None:
    x = drawn(2, 4, 4, 4).astype(low)
    with mf.autocast(low):
        y = WIDE[name](x)
        expected = WIDE[name](x.float())
    assert y.dtype == np.float32
    assert np.array_equal(y.numpy(), expected.numpy(), equal_nan=True)


def close(got: mf.Tensor, expected: mf.Tensor, tolerance: float) -> None:
    """Within `tolerance` of the largest value."""
    a, b = got.float().numpy(), expected.float().numpy()
    assert np.abs(a - b).max() <= tolerance * np.abs(b).max()


# ---- gradients -----------------------------------------------------------------------------------


@both
def test_gradients_are_those_of_float32_but_for_rounding(low: str, cuda: Any) -> None:
    loss, expected = gradients(network(), None)
    got_loss, got = gradients(network(), low)
    assert got_loss == pytest.approx(loss, rel=4 * ROUNDING[low])
    for g, e in zip(got, expected, strict=True):
        assert g.dtype == np.float32
        assert np.abs(g - e).max() <= 16 * ROUNDING[low] * np.abs(e).max()


def test_the_way_back_is_the_same_within_the_block(cuda: Any) -> None:
    x, target = batch()
    outside, inside = network(), network()
    with mf.autocast("float16"):
        loss = F.cross_entropy(outside(x), target)
    loss.backward()
    with mf.autocast("float16"):
        F.cross_entropy(inside(x), target).backward()
    for p, q in zip(outside.parameters(), inside.parameters(), strict=True):
        assert p.grad is not None and q.grad is not None
        assert np.array_equal(p.grad.numpy(), q.grad.numpy())


@both
def test_the_second_derivative_is_that_of_float32_but_for_rounding(low: str, cuda: Any) -> None:
    def penalty(within: bool) -> list[Any]:
        net = network()
        x, target = batch()
        params = list(net.parameters())
        with mf.autocast(low, enabled=within):
            loss = F.cross_entropy(net(x), target)
        first = mf.grad(loss, params, create_graph=True)
        total = first[0].sum() * 0
        for g in first:
            total = total + (g * g).sum()
        assert total.dtype == np.float32
        return [g.numpy() for g in mf.grad(total, params, allow_unused=True)]

    got, expected = penalty(True), penalty(False)
    scale = max(np.abs(g).max() for g in expected)
    for g, e in zip(got, expected, strict=True):
        assert g.dtype == np.float32
        assert np.abs(g - e).max() <= 32 * ROUNDING[low] * scale


def test_a_cast_is_its_own_way_back(cuda: Any) -> None:
    x = drawn(3, 4, requires_grad=True)
    gy = drawn(3, 4, seed=1).astype("float16")
    (g,) = mf.grad(x.astype("float16"), x, gy)
    assert g.dtype == np.float32
    assert np.array_equal(g.numpy(), gy.numpy().astype("f4"))


@both
@pytest.mark.parametrize("relu", [False, True])
def test_a_norm_of_halves_is_that_of_float32_rounded_once(low: str, relu: bool, cuda: Any) -> None:
    rounded = drawn(4, 3, 5, 6).astype(low)
    gy = drawn(4, 3, 5, 6, seed=1).astype(low)

    def run(x: mf.Tensor, g: mf.Tensor) -> tuple[list[Any], list[Any]]:
        x = x.detach().requires_grad_()
        weight, bias = drawn(3, seed=2, requires_grad=True), drawn(3, seed=3, requires_grad=True)
        mean, var = drawn(3, seed=4), drawn(3, seed=5) ** 2
        with mf.autocast(low):
            y = F.batch_norm(x, mean, var, weight, bias, training=True, relu=relu)
        assert y.dtype == x.dtype
        gx, gw, gb = mf.grad(y, [x, weight, bias], g)
        assert (gx.dtype, gw.dtype, gb.dtype) == (x.dtype, weight.dtype, bias.dtype)
        return [t.float().numpy() for t in (y, gx)], [t.numpy() for t in (mean, var, gw, gb)]

    images, numbers = run(rounded, gy)
    wide_images, wide_numbers = run(rounded.float(), gy.float())
    for got, expected in zip(images, wide_images, strict=True):
        assert np.abs(got - expected).max() <= 1.1 * ROUNDING[low] * np.abs(expected).max()
    for got, expected in zip(numbers, wide_numbers, strict=True):
        assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()


# ---- a cast of a parameter is kept ---------------------------------------------------------------


def test_each_parameter_is_cast_once_until_the_optimizer_steps(cuda: Any) -> None:
    conv = nn.Conv2d(2, 2, 3, padding=1, generator=np.random.default_rng(0)).to("cuda")
    sgd = optim.SGD(conv.parameters(), lr=0.1)
    x = drawn(1, 2, 4, 4).astype("float16")
    with mf.autocast("float16"), casts() as made:
        for step in range(1, 4):
            sgd.zero_grad()
            y = conv(conv(conv(x)))
            assert made.count(("float16", (2, 2, 3, 3))) == step, "three uses, one cast"
            y.sum().backward()
            sgd.step()


def test_every_parameter_of_a_network_is_cast_once(cuda: Any) -> None:
    net, (x, target) = network(), batch()
    weights = [p.shape for p in net.parameters() if p.ndim > 1]  # norms and biases stay float32
    with mf.autocast("float16"), casts() as made:
        F.cross_entropy(net(x), target)
    expected = [("float16", shape) for shape in (x.shape, *weights)]
    assert made == [*expected, ("float32", (2, 3, 8, 8))], "the logits"


def test_a_kept_cast_serves_several_backward_passes(cuda: Any) -> None:
    w, x = drawn(2, 2, 1, 1, requires_grad=True), drawn(1, 2, 3, 3)
    with mf.autocast("float16"):
        with mf.no_grad():
            plain = F.conv2d(x, w)
        for _ in range(2):
            y = F.conv2d(x, w)
            y.sum().backward(retain_graph=False)
    assert not plain.requires_grad and w.grad is not None
    (g,) = mf.grad(F.conv2d(x, w).sum(), w)
    close(w.grad, 2 * g, 8 * ROUNDING["float16"])


def test_a_kept_cast_follows_the_parameter(cuda: Any) -> None:
    w, x = nn.Parameter(np.ones((1, 1, 1, 1), "f4")), drawn(1, 1, 2, 2)
    w.replace(w.to("cuda").data)
    with mf.autocast("float16"):
        first = F.conv2d(x, w).numpy()
        with mf.no_grad():
            w.copy_(2)
        assert np.array_equal(F.conv2d(x, w).numpy(), 2 * first)
        w.replace(on_cuda([[[[3.0]]]]).data)
        third = F.conv2d(x, w)
        assert third.requires_grad and np.array_equal(third.numpy(), 3 * first)
        w.requires_grad = False
        assert not F.conv2d(x, w).requires_grad
        w.requires_grad = True
        assert mf.grad(F.conv2d(x, w).sum(), w)[0].shape == w.shape


def test_only_parameters_are_kept(cuda: Any) -> None:
    w, x = drawn(2, 2, 1, 1, requires_grad=True), drawn(1, 2, 3, 3)
    with mf.autocast("float16"):
        made = [F.conv2d(x, w * 2) for _ in range(2)]  # a weight that was computed: cast each time
        assert not mode.autocast.parameters
        F.conv2d(x, w)
        assert set(mode.autocast.parameters) == {id(w)}
    assert made[0].tolist() == made[1].tolist()


def test_nothing_is_kept_alive_by_a_block_that_has_ended(cuda: Any) -> None:
    net, (x, target) = network(), batch()
    weights = sum(p.ndim > 1 for p in net.parameters())

    def recorded() -> int:
        return sum(isinstance(one, Node) for one in gc.get_objects())

    before = recorded()
    with mf.autocast("float16"):
        loss = F.cross_entropy(net(x), target)
        assert recorded() > before + 10
        del loss
        assert recorded() == before, "casts are kept, but no graph; and there is no cycle"
        region = weakref.ref(mode.autocast)
        assert len(mode.autocast.parameters) == weights
    assert region() is None


def test_the_casts_are_part_of_a_captured_step(cuda: Any) -> None:
    from minifcn.kernels.cupy_kernels.capture import Recorded, own_stream

    w, x = drawn(2, 2, 1, 1, requires_grad=True), drawn(1, 2, 3, 3)
    with own_stream() as stream, mf.autocast("float16"):
        before = F.conv2d(x, w).numpy()
        recorded = Recorded(lambda: F.conv2d(x, w), stream)
        again = F.conv2d(x, w).numpy()
        assert np.array_equal(again, before), "what a capture casts is computed by its replays only"
        with mf.no_grad():
            w.copy_(w * 2)
        recorded()
        assert np.array_equal(recorded.result.numpy(), 2 * before)
        assert np.array_equal(F.conv2d(x, w).numpy(), 2 * before)


# ---- training ------------------------------------------------------------------------------------


def train(low: str | None, steps: int = 20, init_scale: float = 2.0**10) -> list[float]:
    net, losses = network(), []
    sgd = optim.SGD(net.parameters(), lr=0.3, momentum=0.9)
    scaler = optim.GradScaler(init_scale=init_scale, growth_interval=5)
    for step in range(steps):
        x, target = batch(step % 4)
        sgd.zero_grad()
        with mf.autocast(low or "float16", enabled=low is not None):
            loss = F.cross_entropy(net(x), target)
        scaler.scale(loss).backward()
        scaler.step(sgd)
        scaler.update()
        losses.append(loss.item())
    assert all(p.dtype == np.float32 for p in net.parameters())
    return losses


@both
def test_twenty_steps_follow_float32(low: str, cuda: Any) -> None:
    """docs/precision.md gives the bounds."""
    expected, got = train(None), train(low)
    assert sum(expected[-4:]) < 0.95 * sum(expected[:4]), "it learns"
    assert got == pytest.approx(expected, rel={"float16": 0.005, "bfloat16": 0.02}[low])


def test_a_scale_that_is_too_large_comes_down_and_training_goes_on(cuda: Any) -> None:
    net, (x, target) = network(), batch()
    sgd, scaler = optim.SGD(net.parameters(), lr=0.1), optim.GradScaler(init_scale=2.0**30)
    moved, scales = [], []
    for _ in range(16):
        before = [p.numpy().copy() for p in net.parameters()]
        sgd.zero_grad()
        with mf.autocast("float16"):
            loss = F.cross_entropy(net(x), target)
        scaler.scale(loss).backward()
        scaler.step(sgd)
        scaler.update()
        after = [p.numpy() for p in net.parameters()]
        moved.append(any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True)))
        scales.append(scaler.get_scale())
        assert all(np.isfinite(a).all() for a in after)
    first = moved.index(True)
    assert first > 0 and all(moved[first:])
    assert scales == [2.0 ** (29 - k) for k in range(first)] + [scales[first]] * (16 - first)


# ---- the block itself ----------------------------------------------------------------------------


def test_the_cpu_says_that_it_cannot() -> None:
    x, w = mf.ones(1, 2, 3, 3), mf.ones(2, 2, 1, 1)
    with mf.autocast("float16"):
        for call in (lambda: F.conv2d(x, w), lambda: x @ x, lambda: F.linear(x, mf.ones(2, 3))):
            with pytest.raises(RuntimeError) as caught:
                call()
            for fact in ("is on 'cpu'", "autocast to float16", ".to('cuda')", "mf.autocast block"):
                assert fact in str(caught.value)
        assert F.cross_entropy(x, mf.zeros(1, 3, 3, dtype="int64")).dtype == np.float32, "as ever"
    assert F.conv2d(x, w).dtype == np.float32


def test_float64_is_left_alone(device: str) -> None:
    x = mf.ones(1, 2, 3, 3, dtype="float64", device=device)
    w = mf.ones(2, 2, 1, 1, dtype="float64", device=device, requires_grad=True)
    with mf.autocast("float16"):
        y = F.conv2d(x, w)
        assert y.dtype == F.batch_norm(y, None, None, training=True).dtype == y.sum().dtype
    assert y.dtype == np.float64


def test_outside_of_a_block_mixing_is_a_mistake(cuda: Any) -> None:
    x, half = drawn(2, 3, 4, 4), drawn(2, 3, 4, 4).astype("float16")
    for call in (
        lambda: x + half,
        lambda: F.conv2d(half, drawn(2, 3, 1, 1)),
        lambda: F.batch_norm(half, None, None, drawn(3), training=True),
        lambda: F.prelu(half, drawn(3)),
    ):
        with pytest.raises(TypeError, match=r"dtype of .* is float"):
            call()


def test_blocks_nest_and_are_left_by_errors(cuda: Any) -> None:
    x, w = drawn(1, 2, 3, 3), drawn(2, 2, 1, 1)

    @mf.autocast(mf.float16)
    def decorated() -> str:
        return F.conv2d(x, w).dtype.name

    with pytest.raises(KeyError), mf.autocast("float16"):
        with mf.autocast("float16", enabled=False):
            assert F.conv2d(x, w).dtype.name == "float32"
        assert F.conv2d(x, w).dtype.name == "float16"
        raise KeyError
    assert mode.autocast is None
    assert [decorated(), decorated()] == ["float16", "float16"]
    assert F.conv2d(x, w).dtype.name == "float32"


@needs_bfloat16
def test_half_of_the_other_kind_is_converted(cuda: Any) -> None:
    x, w = drawn(1, 2, 3, 3).astype("float16"), drawn(2, 2, 1, 1)
    with mf.autocast(mf.bfloat16):
        assert F.conv2d(x, w).dtype == mf.bfloat16
        assert (x + F.conv2d(x, w)).dtype == np.float32


@pytest.mark.parametrize("dtype", ["float32", np.float64, "int8", "half", None, 7])
def test_other_types_are_refused(dtype: Any) -> None:
    if dtype == "half":
        assert mf.autocast(dtype).dtype == np.float16, "NumPy's word for it"
        return
    with pytest.raises(ValueError) as caught:
        mf.autocast(dtype)
    for fact in ("autocast: dtype is", "'float16'", "'bfloat16'"):
        assert fact in str(caught.value)
