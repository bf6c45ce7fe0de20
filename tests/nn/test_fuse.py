"""fuse: layers that are one operator give what they give one by one, and only these do."""

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn import nn


def images(shape=(2, 3, 9, 10), dtype=np.float64):
    return (np.random.default_rng(0).standard_normal(shape) + 0.5).astype(dtype)


def pair(dtype=np.float64):
    """A norm with something to do, and its ReLU."""
    norm, rng = nn.BatchNorm2d(3, dtype=dtype), np.random.default_rng(1)
    with mf.no_grad():
        for p in (norm.weight, norm.bias, norm.running_mean):
            assert p is not None
            p.copy_(mf.tensor(rng.standard_normal(3).astype(dtype)))
    return norm, nn.ReLU()


def made_by(y):
    """The operators behind y, newest first."""
    names, nodes = [], [y._node]
    for node in nodes:
        if node is not None and node.op is not None:
            names.append(node.op.name)
            nodes.extend(node.parents)
    return names


def run(net, x, training):
    """(y, gradients of x and the parameters, the running statistics)"""
    net.train(training)
    x = mf.tensor(x, requires_grad=True)
    y = net(x)
    weights = np.random.default_rng(2).standard_normal(y.shape).astype(y.dtype)
    found = mf.grad(y, [x, *net.parameters()], mf.tensor(weights))
    return y, [g.numpy() for g in found], [b.numpy() for b in net.buffers()]


class OneByOne(nn.Module):
    def __init__(self, *parts):
        self.parts = nn.ModuleList(parts)

    def forward(self, x):
        for part in self.parts:
            x = part(x)
        return x


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("dtype", "limit"), [(np.float64, 1e-13), (np.float32, 3e-6)])
def test_joined_layers_give_what_they_give_one_by_one(training, dtype, limit):
    x = images(dtype=dtype)
    y, gradients, buffers = run(nn.Sequential(*pair(dtype)), x, training)
    wanted, wanted_gradients, wanted_buffers = run(OneByOne(*pair(dtype)), x, training)
    assert any("relu" in name and "norm" in name or "affine" in name for name in made_by(y))
    assert "relu" not in made_by(y) and "relu" in made_by(wanted)
    np.testing.assert_allclose(y.numpy(), wanted.numpy(), atol=limit)
    for got, one in zip(gradients, wanted_gradients, strict=True):
        np.testing.assert_allclose(got, one, atol=limit * max(np.abs(one).max(), 1))
    for got, one in zip(buffers, wanted_buffers, strict=True):
        np.testing.assert_array_equal(got, one)


@pytest.mark.parametrize("place", range(3))
def test_the_pair_is_found_wherever_it_stands(place):
    layers = [nn.Identity(), nn.Identity()]
    layers[place:place] = pair()
    y = nn.Sequential(*layers)(mf.tensor(images(), requires_grad=True))
    assert made_by(y)[0] == "batch_norm_relu"


def test_two_pairs_in_a_row_and_a_norm_at_the_end():
    net = nn.Sequential(*pair(), *pair(), pair()[0])
    assert made_by(net(mf.tensor(images(), requires_grad=True))) == [
        "batch_norm", "batch_norm_relu", "batch_norm_relu",
    ]  # fmt: skip


def test_a_convolution_finds_its_own():
    conv = nn.Conv2d(3, 4, 3, normalizer=nn.BatchNorm2d, activation="relu")
    y = conv(mf.tensor(images(dtype=np.float32)))
    assert made_by(y) == ["batch_norm_relu", "conv2d"]
    assert y.numpy().min() == 0


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_takes_the_relu_behind_it(kind, bias):
    conv, x = kind(3, 4, 3, stride=2, bias=bias, dtype=np.float64), images()
    y, gradients, _ = run(nn.Sequential(conv, nn.ReLU()), x, True)
    wanted, wanted_gradients, _ = run(OneByOne(conv, nn.ReLU()), x, True)
    assert made_by(y)[0] == ("conv_bias_relu" if bias else "relu")
    np.testing.assert_array_equal(y.numpy(), wanted.numpy())
    for got, one in zip(gradients, wanted_gradients, strict=True):
        np.testing.assert_allclose(got, one, atol=1e-13)


def test_its_own_activation_and_normalizer_come_first():
    twice = nn.Sequential(nn.Conv2d(3, 4, 3, activation="relu"), nn.ReLU())
    assert made_by(twice(mf.tensor(images(dtype=np.float32)))) == [
        "relu", "conv_bias_relu",
    ]  # fmt: skip
    normed = nn.Sequential(nn.Conv2d(3, 4, 3, normalizer=nn.BatchNorm2d), nn.ReLU())
    assert made_by(normed(mf.tensor(images(dtype=np.float32)))) == ["batch_norm_relu", "conv2d"]
    bent = nn.Sequential(nn.Conv2d(3, 4, 3, activation="tanh"), nn.ReLU())
    assert made_by(bent(mf.tensor(images(dtype=np.float32))))[:2] == ["relu", "tanh"]


def test_the_encoder_of_small_images_finds_them():
    from minifcn.models.small import SmallEncoder

    deepest = SmallEncoder(width=2, depth=2)(mf.tensor(images((1, 3, 8, 8), np.float32)))[-1]
    names = made_by(deepest)
    assert names.count("batch_norm_relu") == 4 and "relu" not in names


class Other(nn.ReLU):
    def forward(self, x):
        return F.relu(x) + 1


class OtherConv(nn.Conv2d):
    def forward(self, x):  # type: ignore[override] # as those who know nothing of relu do
        return super().forward(x) - 1


class OtherNorm(nn.BatchNorm2d):
    def forward(self, x):  # type: ignore[override] # as those who know nothing of relu do
        return super().forward(x) - 1


def test_a_subclass_does_what_it_says():
    x = mf.tensor(images())
    (norm, relu), other_norm = pair(), OtherNorm(3, dtype=np.float64)
    plain = nn.Sequential(norm, relu)(x).numpy()
    np.testing.assert_allclose(nn.Sequential(norm, Other())(x).numpy(), plain + 1, atol=1e-13)
    wanted = F.relu(other_norm(x)).numpy()
    np.testing.assert_array_equal(nn.Sequential(other_norm, relu)(x).numpy(), wanted)
    conv = OtherConv(3, 2, 3, dtype=np.float64)
    wanted = F.relu(conv(x)).numpy()
    np.testing.assert_array_equal(nn.Sequential(conv, relu)(x).numpy(), wanted)


def test_an_instance_with_a_forward_of_its_own_does_what_it_says():
    norm, relu = pair()
    relu.forward = lambda x: x
    np.testing.assert_array_equal(
        nn.Sequential(norm, relu)(mf.tensor(images())).numpy(), norm(mf.tensor(images())).numpy()
    )
    norm, relu = pair()
    norm.forward = lambda x: x - 1
    np.testing.assert_array_equal(
        nn.Sequential(norm, relu)(mf.tensor(images())).numpy(), np.maximum(images() - 1, 0)
    )


def test_errors_and_anomalies_name_the_layer():
    net = nn.Sequential(nn.Identity(), *pair())
    with pytest.raises(ValueError, match=r"in layer 1: BatchNorm2d"):
        net(mf.tensor(images((2, 4, 5, 5))))
    bad = images()
    bad[0, 0, 0, 0] = np.inf
    with pytest.raises(mf.anomaly.AnomalyError, match="affine_relu in 1"), mf.detect_anomaly():
        net.eval()(mf.tensor(bad))


@pytest.mark.parametrize("origin", [0.0, 50.0])
def test_one_kernel_and_the_operators_give_the_same_gradient(origin):
    net, x = nn.Sequential(*pair()), mf.tensor(images() + origin, requires_grad=True)
    gy = mf.tensor(np.random.default_rng(2).standard_normal(x.shape))
    wanted = [x, *net.parameters()]
    at_once = mf.grad(net(x), wanted, gy)
    by_operators = mf.grad(net(x), wanted, gy, create_graph=True)
    for got, one in zip(at_once, by_operators, strict=True):
        np.testing.assert_allclose(got.numpy(), one.numpy(), atol=1e-12, rtol=1e-12)


def test_an_anomaly_in_the_backward_pass_is_found_where_it_arises():
    x = mf.tensor(images(), requires_grad=True)
    y = nn.Sequential(*pair())(x)
    gy = np.ones(y.shape)
    gy[y.numpy() > 0] = np.inf
    with pytest.raises(mf.anomaly.AnomalyError, match="relu_grad in backward of batch_norm_relu"):
        with mf.detect_anomaly():
            y.backward(mf.tensor(gy))


def test_second_derivatives_go_through():
    norm, relu = pair()
    x = mf.tensor(images((2, 3, 3, 2)))
    assert mf.gradcheck(lambda x: nn.Sequential(norm, relu)(x), [x], order=2)
