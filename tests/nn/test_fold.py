"""Norms go into convolutions where the network's own run shows that they may, and nowhere else."""

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn import nn
from minifcn.models import build


def numbers(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def stirred(net):
    """Norms that have something to do."""
    rng = np.random.default_rng(0)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            for t in (part.running_mean, part.running_var, part.weight, part.bias):
                if t is not None:
                    t.data[...] = rng.uniform(0.5, 1.5, t.shape)
    return net.eval()


def norms(net):
    return [name for name, part in net.named_modules() if isinstance(part, nn.BatchNorm2d)]


def same(net, folded, shape=(2, 3, 12, 11), device="cpu"):
    x = mf.tensor(numbers(shape, 3)).to(device)
    with mf.no_grad():
        wanted, got = net(x).numpy(), folded(x).numpy()
    np.testing.assert_allclose(got, wanted, atol=2e-5 * np.abs(wanted).max(), rtol=0)


def example(shape=(1, 3, 12, 11)):
    return mf.tensor(numbers(shape))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    "conv",
    [
        lambda bias: nn.Conv2d(3, 4, 3, bias=bias),
        lambda bias: nn.Conv2d(3, 6, 2, 2, groups=3, bias=bias),
        lambda bias: nn.ConvTranspose2d(3, 4, 3, 2, bias=bias),
        lambda bias: nn.ConvTranspose2d(3, 6, 3, 2, groups=3, bias=bias),
    ],
)
def test_a_norm_becomes_a_scale_of_the_weight_and_a_bias(conv, affine, bias, device):
    first = conv(bias)
    net = stirred(nn.Sequential(first, nn.BatchNorm2d(first.out_channels, affine=affine)))
    net.to(device)
    folded = nn.fold(net, example().to(device))
    assert not norms(folded) and isinstance(folded[1], nn.Identity)
    same(net, folded, device=device)
    assert len(norms(net)) == 1 and (net[0].bias is None) == (not bias)  # a copy was folded


MODELS = {
    "fcn": {"name": "fcn", "encoder": {"name": "small", "width": 4, "depth": 2}, "classes": 3},
    "resnet": {"name": "fcn", "encoder": {"name": "resnet18", "width": 4}, "classes": 3},
    "unet": {"name": "unet", "classes": 2, "width": 3, "depth": 2, "norm": True},
}


@pytest.mark.parametrize("name", MODELS)
def test_the_models_are_the_same_without_their_norms(name):
    net = stirred(build(MODELS[name], np.random.default_rng(0)))
    folded = nn.fold(net, example((1, 3, 32, 40)))
    assert norms(net) and not norms(folded)
    same(net, folded, (1, 3, 32, 40))
    assert not hasattr(folded, "config")  # it would make another network


def test_a_norm_of_a_sum_or_of_a_concatenation_stays():
    net = stirred(build({"name": "espnet", "classes": 5, "p": 1, "q": 1}))
    folded = nn.fold(net, example((1, 3, 32, 40)))
    gone = set(norms(net)) - set(norms(folded))
    assert gone == {"encoder.level1.bn", "conv.bn", "up_l2.1.bn", "br"}
    same(net, folded, (1, 3, 32, 40))


def test_a_relu_behind_it_joins_the_convolution():
    net = stirred(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()))
    folded = nn.fold(net, example())
    seen = []
    mf.modes.mode.trace = lambda op, inputs, y: seen.append(op.name)
    try:
        same(net, folded)
    finally:
        mf.modes.mode.trace = None
    assert seen[-1:] == ["conv_bias_relu"]


class Using(nn.Module):
    """A convolution and a norm, put together by a function."""

    def __init__(self, function):
        rng = np.random.default_rng(0)
        self.conv = nn.Conv2d(3, 3, 1, generator=rng)
        self.norm = nn.BatchNorm2d(3)
        self.function = function

    def forward(self, x):
        return self.function(self, x)


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: (y := m.conv(x)) + m.norm(y),  # the sum is read again
        lambda m, x: m.norm(m.conv(m.conv(x))),  # called twice
        lambda m, x: m.norm(m.conv(x)) + m.norm(x),
        lambda m, x: m.norm(F.relu(m.conv(x))),
        lambda m, x: m.conv(m.norm(x)),
        lambda m, x: m.norm(x) + m.conv(x),
    ],
)
def test_where_it_may_not_be_folded_it_stays(function):
    net = stirred(Using(function))
    folded = nn.fold(net, example())
    assert norms(folded) == ["norm"]
    same(net, folded)


def test_a_layer_with_two_names_stays():
    shared = nn.Conv2d(3, 3, 1)
    net = stirred(nn.ModuleList([nn.Sequential(shared, nn.BatchNorm2d(3)), shared]))
    holder = Using(lambda m, x: m.parts[0](x))
    holder.parts = net
    assert len(norms(nn.fold(holder.eval(), example()))) == 2


class Other(nn.BatchNorm2d):
    def forward(self, x, relu=False):
        return super().forward(x, relu) + 1


def test_a_subclass_does_what_it_says():
    net = stirred(nn.Sequential(nn.Conv2d(3, 4, 3), Other(4)))
    folded = nn.fold(net, example())
    assert isinstance(folded[1], Other)
    same(net, folded)


def test_weights_keep_their_dtype_and_whether_they_are_trained():
    conv = nn.Conv2d(3, 4, 3, normalizer=nn.BatchNorm2d, trainable=False, dtype=np.float64)
    folded = nn.fold(conv.eval(), mf.tensor(numbers((1, 3, 5, 5)).astype(np.float64)))
    assert folded.bias is not None and folded.normalizer is None
    assert folded.weight.dtype == folded.bias.dtype == np.float64
    assert not folded.weight.requires_grad and not folded.bias.requires_grad
