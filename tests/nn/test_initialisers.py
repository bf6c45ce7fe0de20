"""Initialisers: right fans, right spread, and what they are for: a signal that keeps its size."""

from functools import partial
from typing import Any

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn import nn
from minifcn.nn import init


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def fans_by_counting(layer) -> tuple[float, float]:
    """(inputs per output, outputs per input) far from borders, from ones where a path exists."""
    with mf.no_grad():
        layer.weight[...] = 1
    layer.requires_grad_(False)
    x = mf.tensor(np.zeros((1, layer.in_channels, 15, 15)), requires_grad=True)
    y = layer(x)
    seed = np.zeros(y.shape)
    seed[0, 0, y.shape[2] // 2, y.shape[3] // 2] = 1
    (gx,) = mf.grad(y, x, mf.tensor(seed))
    one = np.zeros(x.shape)
    one[0, 0, 7, 7] = 1
    return gx.numpy().sum(), layer(mf.tensor(one)).numpy().sum()


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize(
    ("C", "O", "kernel", "groups"),
    [(4, 6, (3, 3), 1), (4, 6, (3, 2), 2), (6, 6, (2, 3), 6), (3, 6, (1, 1), 3)],
)
def test_fans_count_the_paths(kind, C, O, kernel, groups):
    layer = kind(C, O, kernel, groups=groups, bias=False, dtype=np.float64)
    told = layer.weight.fans
    shape = layer.weight.shape
    assert told == init.fans(shape, kind is nn.ConvTranspose2d, groups)
    assert told == pytest.approx(fans_by_counting(layer))


def test_fans_of_a_linear_layer_are_its_features():
    assert init.fans((5, 3)) == nn.Linear(3, 5).weight.fans == (3, 5)


SEED: Any = 5  # where a generator is expected
SHAPE, FANS = (64, 32, 3, 3), (288, 576)
SPREADS: list[tuple[Any, dict[str, Any], float]] = [
    (init.xavier_uniform, {}, 2 / (288 + 576)),
    (init.xavier_normal, {"gain": 3.0}, 9 * 2 / (288 + 576)),
    (init.he_uniform, {}, 2 / 288),
    (init.he_normal, {}, 2 / 288),
    (init.he_normal, {"mode": "fan_out"}, 2 / 576),
    (init.he_uniform, {"nonlinearity": "leaky_relu", "slope": 0.5}, 2 / (1.25 * 288)),
    (init.he_normal, {"nonlinearity": "tanh"}, 25 / 9 / 288),
    (init.lecun_uniform, {}, 1 / 288),
    (init.lecun_normal, {}, 1 / 288),
    (init.layer_default, {}, 1 / (3 * 288)),
    (init.uniform, {"low": -2.0, "high": 1.0}, 9 / 12),
    (init.normal, {"std": 0.3}, 0.09),
]


@pytest.mark.parametrize(("function", "options", "variance"), SPREADS)
def test_spread(function, options, variance):
    w = function(SHAPE, rng(), **options)
    assert w.shape == SHAPE
    assert w.var() == pytest.approx(variance, rel=0.03)  # 18432 values: 1 % standard error
    kurtosis = ((w - w.mean()) ** 4).mean() / w.var() ** 2  # normal 3, uniform 9/5
    normal = "normal" in function.__name__
    assert kurtosis == pytest.approx(3 if normal else 1.8, rel=0.05)
    assert np.array_equal(w, function(SHAPE, rng(), FANS, **options))
    if function not in (init.uniform, init.normal):
        assert abs(w.mean()) < 4 * np.sqrt(variance / w.size)
        wider = function(SHAPE, rng(), (4 * FANS[0], 4 * FANS[1]), **options)
        assert np.allclose(wider * 2, w), "four times the fans, half the weights"


def test_constants():
    assert set(init.constant((2, 3), value=1.5).ravel()) == {1.5}
    assert set(init.zeros((2, 3)).ravel()) == {0.0}
    assert set(init.ones((2, 3)).ravel()) == {1.0}


def test_layers_start_within_one_over_the_root_of_fan_in():
    layer: Any = nn.Conv2d(16, 32, 3, groups=2, generator=rng())
    bound = 1 / np.sqrt(8 * 9)
    for values in (layer.weight.numpy(), layer.bias.numpy()):
        assert bound * 0.8 < np.abs(values).max() <= bound


DEPTH, WIDTH = 8, 96


def growth(kind, weight_init, groups: int) -> float:
    """Mean square of the relu features after DEPTH layers, over that after the first."""
    generator, squares = rng(1), []
    x = mf.tensor(generator.standard_normal((1, WIDTH, 6, 6)))
    with mf.no_grad():
        for _ in range(DEPTH):
            layer = kind(WIDTH, WIDTH, 3, groups=groups, bias=False, dtype=np.float64,
                         weight_init=weight_init, generator=generator)  # fmt: skip
            if kind is nn.Conv2d:  # zeros at the border would take their share
                x = F.pad(x, (1, 1, 1, 1), mode="replicate")
            y = F.relu(layer(x))
            x = y if kind is nn.Conv2d else y[:, :, 1:-1, 1:-1]
            squares.append((x.numpy()[:, :, 2:-2, 2:-2] ** 2).mean())
    return squares[-1] / squares[0]


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_he_keeps_the_signal_through_a_deep_net_and_the_default_does_not(kind, groups):
    # A fan wrong by the factor `groups` would show as groups^7. For finite width the logarithm of
    # the growth has a deviation of about sqrt(5 DEPTH groups / WIDTH).
    assert 0.1 < growth(kind, init.he_normal, groups) < 10
    assert growth(kind, init.layer_default, groups) < 1e-4  # expected 6^-7 = 4e-6


def test_he_uses_fan_in_of_the_transposed_weight():
    layer = nn.ConvTranspose2d(8, 64, 3, weight_init=init.he_normal, generator=rng())
    assert layer.weight.numpy().var() == pytest.approx(2 / (8 * 9), rel=0.05)
    init.kaiming_normal_(layer.weight, generator=rng())
    assert layer.weight.numpy().var() == pytest.approx(2 / (8 * 9), rel=0.05)


@pytest.mark.parametrize(("factor", "shape"), [(2, (5, 4)), (4, (4, 3)), (8, (3, 5))])
def test_bilinear_is_interpolation_inside(factor, shape):
    up = nn.ConvTranspose2d(3, 3, 2 * factor, stride=factor, padding=factor // 2, bias=False,
                            dtype=np.float64, weight_init=init.bilinear)  # fmt: skip
    x = mf.tensor(rng().standard_normal((2, 3, *shape)))
    ours = up(x).numpy()
    theirs = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False).numpy()
    edge = factor // 2
    assert ours.shape == theirs.shape
    inside = np.s_[:, :, edge:-edge, edge:-edge]
    assert np.allclose(ours[inside], theirs[inside], atol=1e-12)
    assert not np.allclose(ours, theirs), "the border fades into zeros"


def test_bilinear_values_by_hand():
    w = init.bilinear((1, 1, 4, 3))
    assert np.allclose(w[0, 0], np.outer([0.25, 0.75, 0.75, 0.25], [0.5, 1, 0.5]))
    assert init.bilinear((2, 2, 16, 16)).sum() == pytest.approx(2 * 64)


def test_bilinear_fits_grouped_channels():
    up = nn.ConvTranspose2d(4, 4, 4, 2, 1, groups=2, bias=False, weight_init=init.bilinear)
    dense = nn.ConvTranspose2d(4, 4, 4, 2, 1, bias=False, weight_init=init.bilinear)
    depthwise = nn.ConvTranspose2d(4, 4, 4, 2, 1, groups=4, bias=False, weight_init=init.bilinear)
    x = mf.tensor(rng().standard_normal((1, 4, 3, 3)).astype(np.float32))
    assert np.allclose(up(x).numpy(), dense(x).numpy())
    assert np.allclose(depthwise(x).numpy(), dense(x).numpy())


def test_filling_in_place():
    weight = nn.Parameter(np.zeros((64, 32, 3, 3), np.float32))
    memory = weight.data
    fills: list[Any] = [
        (init.xavier_uniform_, init.xavier_uniform, {"gain": 2.0}),
        (init.xavier_normal_, init.xavier_normal, {"gain": 2.0}),
    ]
    for fill, function, options in fills:
        assert fill(weight, generator=rng(3), **options) is weight
        assert np.allclose(weight.numpy(), function(SHAPE, rng(3), **options))
    init.kaiming_uniform_(weight, a=0.5, mode="fan_out", generator=rng(3))
    wanted = partial(init.he_uniform, mode="fan_out", nonlinearity="leaky_relu", slope=0.5)
    assert np.allclose(weight.numpy(), wanted(SHAPE, rng(3)))
    assert init.uniform_(weight, 2, 3, generator=rng()).numpy().min() >= 2
    assert init.normal_(weight, 50, 1, generator=rng()).numpy().min() > 40
    assert set(init.constant_(weight, 4.0).numpy().ravel()) == {4.0}
    assert set(init.ones_(weight).numpy().ravel()) == {1.0}
    assert set(init.zeros_(weight).numpy().ravel()) == {0.0}
    assert weight.data is memory


@pytest.mark.parametrize(
    ("call", "facts"),
    [
        (lambda: init.fans((3,)), ["fans", "(3,)", "2 axes"]),
        (lambda: init.fans((3, 2), groups=2), ["fans", "axis 0 (O)", "3", "groups 2"]),
        (lambda: init.gain("swish"), ["gain", "'swish'", "relu"]),
        (lambda: init.he_normal((3, 2), mode="fan_avg"), ["mode", "'fan_avg'", "'fan_out'"]),
        (lambda: init.bilinear((3, 2, 4, 4)), ["bilinear", "3 and 2"]),
        (
            lambda: nn.ConvTranspose2d(4, 2, 4, weight_init=init.bilinear),
            ["bilinear", "4 and 2", "as many output as input channels"],
        ),
        (lambda: init.normal((2, 2), SEED), ["generator", "int"]),
    ],
)
def test_mistakes(call, facts):
    with pytest.raises((ValueError, TypeError)) as error:
        call()
    assert all(fact in str(error.value) for fact in facts), str(error.value)
