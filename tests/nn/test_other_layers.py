"""Batch norm, pooling, activations, upsampling, dropout, loss: layers pass their settings on."""

from typing import Any

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn import nn

X = np.random.default_rng(0).standard_normal((2, 4, 7, 6))


def equal(layer, y) -> None:
    assert np.array_equal(layer(mf.tensor(X)).numpy(), y.numpy())


def test_layers_that_only_pass_their_settings_on():
    x = mf.tensor(X)
    equal(nn.MaxPool2d(3, 2, 1, 1, ceil_mode=True), F.max_pool2d(x, 3, 2, 1, 1, True))
    equal(nn.MaxPool2d((2, 3)), F.max_pool2d(x, (2, 3)))
    equal(nn.AvgPool2d(3, 2, 1, True, False), F.avg_pool2d(x, 3, 2, 1, True, False))
    equal(nn.AvgPool2d(2, divisor_override=3), F.avg_pool2d(x, 2, divisor_override=3))
    equal(nn.AdaptiveAvgPool2d((2, None)), F.adaptive_avg_pool2d(x, (2, None)))
    equal(nn.Upsample((3, 9)), F.interpolate(x, (3, 9)))
    bilinear: Any = {"mode": "bilinear", "align_corners": True}
    equal(nn.Upsample(scale_factor=2, **bilinear), F.interpolate(x, scale_factor=2, **bilinear))
    equal(nn.LeakyReLU(0.2), F.leaky_relu(x, 0.2))
    equal(nn.Softmax(1), F.softmax(x, 1))
    equal(nn.LogSoftmax(dim=2), F.log_softmax(x, 2))


def test_activations_by_formula():
    for layer, formula in [
        (nn.ReLU(), np.maximum(X, 0)),
        (nn.Sigmoid(), 1 / (1 + np.exp(-X))),
        (nn.Tanh(), np.tanh(X)),
        (nn.PReLU(4, 0.5, dtype=np.float64), np.where(X > 0, X, 0.5 * X)),
    ]:
        assert np.allclose(layer(mf.tensor(X)).numpy(), formula)


def test_unpooling_puts_maxima_back():
    y, indices = nn.MaxPool2d(2, return_indices=True)(mf.tensor(X[:, :, :6]))
    back = nn.MaxUnpool2d(2)(y, indices).numpy()
    assert np.array_equal(np.unique(back[back != 0]), np.unique(y.numpy()))
    kept = back != 0
    assert np.array_equal(back[kept], X[:, :, :6][kept])
    y, indices = nn.MaxPool2d(2, return_indices=True)(mf.tensor(X))
    assert nn.MaxUnpool2d(2)(y, indices, output_size=(7, 6)).shape == X.shape


def batch_norm(affine: bool = True, **options: Any) -> Any:
    return nn.BatchNorm2d(4, affine=affine, dtype=np.float64, **options)


def test_batch_norm_in_training_and_inference():
    norm = batch_norm()
    with mf.no_grad():
        norm.weight[...], norm.bias[...] = [1, 2, 3, 4], [4, 3, 2, 1]
    mean, var = X.mean((0, 2, 3)), X.var((0, 2, 3))
    count = X.size // 4
    along_c = np.s_[:, None, None]

    def formula(m, v):
        scaled = (X - m[along_c]) / np.sqrt(v + norm.eps)[along_c]
        return scaled * norm.weight.numpy()[along_c] + norm.bias.numpy()[along_c]

    assert np.allclose(norm(mf.tensor(X)).numpy(), formula(mean, var))
    running_mean = 0.1 * mean
    running_var = 0.9 * 1 + 0.1 * var * count / (count - 1)
    assert np.allclose(norm.running_mean.numpy(), running_mean)
    assert np.allclose(norm.running_var.numpy(), running_var)
    assert norm.num_batches_tracked.item() == 1
    norm.eval()
    assert np.allclose(norm(mf.tensor(X)).numpy(), formula(running_mean, running_var))
    assert np.allclose(norm.running_mean.numpy(), running_mean), "inference changes nothing"
    assert norm.num_batches_tracked.item() == 1


def test_batch_norm_without_momentum_averages_all_batches():
    norm = batch_norm(momentum=None)
    batches = [X, X + 3, 2 * X]
    for batch in batches:
        norm(mf.tensor(batch))
    means = [batch.mean((0, 2, 3)) for batch in batches]
    assert np.allclose(norm.running_mean.numpy(), np.mean(means, axis=0))


def test_batch_norm_without_running_statistics_uses_the_batch_always():
    norm = batch_norm(affine=False, track_running_stats=False).eval()
    y = norm(mf.tensor(X)).numpy()
    assert np.allclose(y.mean((0, 2, 3)), 0)
    assert np.allclose(y.var((0, 2, 3)), 1, atol=1e-4)
    assert not norm.state_dict()


def test_batch_norm_mistakes_name_the_layer():
    with pytest.raises(mf.ShapeError, match=r"BatchNorm2d: x has 3 axes \(4, 7, 6\).*N C H W"):
        batch_norm()(mf.tensor(X[0]))
    with pytest.raises(mf.ShapeError, match=r"in layer 0: BatchNorm2d\(3,"):
        nn.Sequential(nn.BatchNorm2d(3, dtype=np.float64))(mf.tensor(X))


@pytest.mark.parametrize("kind", [nn.Dropout, nn.Dropout2d])
def test_dropout_forgets_in_training_only(kind):
    ones = mf.tensor(np.ones((20, 30, 4, 5)))
    layer = kind(0.3, seed=3)
    y = layer(ones).numpy()
    assert np.allclose(np.unique(y), [0, 1 / 0.7])
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.07 if kind is nn.Dropout2d else 0.02)
    per_channel = y.reshape(20 * 30, 20)
    same = (per_channel == per_channel[:, :1]).all(axis=1)
    assert same.all() == (kind is nn.Dropout2d)
    assert np.array_equal(layer.eval()(ones).numpy(), ones.numpy())


def test_dropout_layers_draw_from_streams_of_their_own():
    ones = mf.tensor(np.ones(100))
    first = nn.Dropout(seed=1)(ones).numpy()
    assert np.array_equal(first, nn.Dropout(generator=np.random.default_rng(1))(ones).numpy())
    a, b = nn.Dropout(), nn.Dropout()
    assert not np.array_equal(a(ones).numpy(), b(ones).numpy())
    nn.manual_seed(4)
    a = nn.Dropout()
    weight = nn.Linear(3, 3).weight.numpy()
    nn.manual_seed(4)
    b = nn.Dropout()
    b(ones)
    assert np.array_equal(nn.Linear(3, 3).weight.numpy(), weight), "drawing leaves the stream alone"


def test_the_loss_passes_its_settings_on():
    rng = np.random.default_rng(0)
    x, target = mf.tensor(rng.standard_normal((2, 3, 4, 5))), rng.integers(0, 3, (2, 4, 5))
    weight = np.array([1.0, 2.0, 0.5])
    target[0, 0] = 9
    for reduction in ("mean", "sum", "none"):
        options: Any = {"ignore_index": 9, "reduction": reduction, "label_smoothing": 0.1}
        loss = nn.CrossEntropyLoss(weight, **options)(x, mf.tensor(target))
        expected = F.cross_entropy(x, mf.tensor(target), weight=mf.tensor(weight), **options)
        assert np.array_equal(loss.numpy(), expected.numpy())
    assert list(nn.CrossEntropyLoss(weight).state_dict()) == ["weight"]
    assert nn.CrossEntropyLoss(weight).float().state_dict()["weight"].dtype == np.float32


@pytest.mark.parametrize(
    ("make", "facts"),
    [
        (lambda: nn.ReLU(inplace=True), ["ReLU", "inplace is True", "False"]),
        (lambda: nn.Dropout(1.5), ["Dropout", "p is 1.5", "0 to 1"]),
        (lambda: nn.Dropout2d(seed=1, generator=np.random.default_rng(0)), ["Dropout2d", "both"]),
        (lambda: nn.Upsample(), ["Upsample", "size is None", "scale_factor is None"]),
        (lambda: nn.Upsample(3, 2), ["Upsample", "size is 3", "scale_factor is 2"]),
        (lambda: nn.PReLU(0), ["PReLU", "num_parameters is 0"]),
    ],
)
def test_mistakes(make, facts):
    with pytest.raises(ValueError) as error:
        make()
    assert all(fact in str(error.value) for fact in facts), str(error.value)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.AvgPool2d(2), "AvgPool2d(kernel_size=2, stride=2, padding=0)"),
        (nn.LeakyReLU(0.2), "LeakyReLU(negative_slope=0.2)"),
        (nn.Dropout(0.2), "Dropout(p=0.2)"),
        (nn.Upsample(scale_factor=2), "Upsample(scale_factor=2, mode='nearest')"),
        (nn.AdaptiveAvgPool2d(1), "AdaptiveAvgPool2d(output_size=1)"),
    ],
)
def test_reprs(layer, text):
    assert repr(layer) == text
