"""The FCN: any size in, the same size out; 32s, 16s and 8s are one class."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifcn as mf
import minifcn.functional as F
from minifcn import files, nn
from minifcn.interop import load_weights
from minifcn.models import FCN, SmallEncoder, build
from minifcn.shapes import ShapeError


def small(skips=None, classes=3, depth=4, width=4, frozen=False, seed=0):
    rng = np.random.default_rng(seed)
    encoder = SmallEncoder(width=width, depth=depth, generator=rng)
    return FCN(encoder, classes, skips, frozen, generator=rng).eval()


def photo(H, W, N=1, seed=0):
    x = np.random.default_rng(seed).standard_normal((N, 3, H, W))
    return mf.tensor(x.astype(np.float32))


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 3))
def test_any_image_size_gives_a_class_for_every_pixel(H, W, skips):
    with mf.no_grad():
        assert small(skips)(photo(H, W)).shape == (1, 3, H, W)


@pytest.mark.parametrize("skips, finest", [(0, 8), (1, 4), (2, 2), (3, 1)])
def test_skips_decide_the_stride_of_the_last_upsampling(skips, finest):
    net = small(skips)
    last = net.ups[skips]
    stride = 1 if not hasattr(last, "stride") else last.stride[0]
    assert stride == finest
    assert len(net.scores) == skips + 1


def test_without_skips_it_is_the_score_enlarged_bilinearly():
    net = small(skips=0)
    x = photo(32, 40)
    with mf.no_grad():
        score = net.scores[0](net.encoder(x)[-1])
        enlarged = F.interpolate(score, size=(32, 40), mode="bilinear", align_corners=False)
        y = net(x).numpy()
    inside = (slice(None), slice(None), slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(y[inside], enlarged.numpy()[inside], atol=1e-5)


class Places(nn.Module):
    """An encoder whose features hold, in every channel, where their cells lie in the image."""

    def __init__(self, encoder):
        self.true = encoder
        self.config, self.radius = encoder.config, encoder.radius
        self.channels, self.strides = encoder.channels, encoder.strides
        self.offsets = getattr(encoder, "offsets", [(s - 1) / 2 for s in encoder.strides])

    def forward(self, x):
        found = []
        for f, s, b in zip(self.true(x), self.strides, self.offsets, strict=True):
            rows, columns = (s * np.arange(size) + b for size in f.shape[2:])
            places = np.broadcast_to(rows[:, None] + 0.37 * columns, f.shape)
            found.append(mf.tensor(places.astype(np.float32)))
        return found


STANDS: dict[str, dict[str, Any]] = {
    "small": {"width": 1, "depth": 4},
    "vgg16": {"width": 1},
    "resnet18": {"width": 1},
    "resnet34": {"width": 1, "dilate": [False, True, True]},
    "squeezenet1_1": {},
}


@pytest.mark.parametrize("name", STANDS)
@pytest.mark.parametrize("skips", [0, 1, 3])
@pytest.mark.parametrize("H, W", [(161, 200), (194, 177)])
def test_what_lies_at_a_pixel_comes_out_at_that_pixel(name, skips, H, W):
    """Coordinates are upsampled to the image's own: no feature is put down beside its place."""
    with nn.blank():
        encoder: Any = build(
            {"name": "fcn", "encoder": {"name": name, **STANDS[name]}, "classes": 1}
        )
        net = FCN(Places(encoder.encoder), classes=1, skips=skips).eval()
    with mf.no_grad():
        for score in net.scores.children():
            vars(score)["weight"][0, 0] = 1 / (skips + 1)  # their mean
        y = net(photo(H, W)).numpy()[0, 0]
    wanted = np.arange(H)[:, None] + 0.37 * np.arange(W)
    S = 2 * net.stride
    assert S < min(H, W) // 2
    np.testing.assert_allclose(y[S : H - S, S : W - S], wanted[S : H - S, S : W - S], rtol=1e-6)


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "vgg16"])
def test_it_stands_on_the_weights_of_a_classifier(name, tmp_path):
    options = {} if name == "squeezenet1_1" else {"width": 2}
    classifier: Any = build(
        {"name": name, "classes": 5, **options}, np.random.default_rng(3)
    ).eval()
    files.save(tmp_path / "c.safetensors", _arrays(classifier), {})
    net: Any = build({"name": "fcn", "encoder": {"name": name, **options}, "classes": 2}).eval()
    report = load_weights(net.encoder, tmp_path / "c.safetensors", strict=False)
    assert not report.missing and not report.misfits
    heads = [name for name in classifier.state_dict() if name.startswith(("fc.", "classifier."))]
    assert sorted(report.unexpected) == sorted(heads)
    x = photo(64, 96)
    with mf.no_grad():
        last = net.encoder(x)[-1].numpy()
        np.testing.assert_array_equal(last, classifier.features(x).numpy())


def _arrays(net):
    return {name: value.numpy() for name, value in net.state_dict().items()}


def test_a_classifier_is_no_encoder():
    with pytest.raises(
        TypeError, match="FCN: encoder is ResNet, a classifier, expected an encoder"
    ):
        FCN(mf.models.ResNet(18, classes=2, width=1), classes=2)


def test_features_that_lie_nowhere_are_refused():
    encoder = Places(SmallEncoder(width=1, depth=2))
    encoder.offsets = [0, 0.25]
    with pytest.raises(ShapeError, match="a cell every 2 pixels from pixel 0.25 does not fit"):
        FCN(encoder, classes=1)


def test_moving_the_image_by_the_stride_moves_the_logits():
    net = small()
    x = np.random.default_rng(1).standard_normal((1, 3, 128, 72)).astype(np.float32)
    with mf.no_grad():
        here = net(mf.tensor(x[:, :, :120])).numpy()
        there = net(mf.tensor(x[:, :, 8:])).numpy()
    R = net.radius
    assert 120 - 8 - 2 * R > 0, "the net sees too far for this test to say anything"
    np.testing.assert_allclose(here[:, :, 8 + R : 120 - R], there[:, :, R : 112 - R], atol=1e-4)


def test_a_pixel_reaches_no_further_than_the_radius():
    net = small(depth=3)
    x = photo(90, 8).numpy().copy()
    with mf.no_grad():
        before = net(mf.tensor(x)).numpy()
        x[:, :, 45] += 1
        after = net(mf.tensor(x)).numpy()
    changed = np.flatnonzero((before != after).any(axis=(0, 1, 3)))
    R, S = net.radius, net.stride
    assert 45 - R - S < changed.min() < 45 < changed.max() < 45 + R + S


def test_frozen_upsampling_gets_no_gradient():
    net = small(frozen=True).train()
    F.cross_entropy(net(photo(16, 16)), np.zeros((1, 16, 16), np.int64)).backward()
    assert all(up.weight.grad is None for up in net.ups if hasattr(up, "weight"))
    assert net.scores[0].weight.grad is not None


def test_it_is_built_again_from_its_config():
    net = small(skips=2)
    again: Any = build(net.config).eval()
    again.load_state_dict(net.state_dict())
    x = photo(21, 34)
    with mf.no_grad():
        assert (net(x).numpy() == again(x).numpy()).all()
    assert again.config == net.config


@pytest.mark.parametrize(
    "config, words",
    [
        ({"name": "fnc"}, ("build", "model", "'fnc'", "fcn")),
        ({"name": "fcn", "classes": 2}, ("build", "encoder")),
        (
            {"name": "fcn", "encoder": {"name": "tiny"}, "classes": 2},
            ("build", "encoder", "'tiny'", "small"),
        ),
        (
            {"name": "fcn", "encoder": {"name": "small", "wide": 2}, "classes": 2},
            ("build", "small", "wide"),
        ),
    ],
)
def test_a_config_that_cannot_be_built_is_explained(config, words):
    with pytest.raises(ValueError) as caught:
        build(config)
    assert all(word in str(caught.value) for word in words)


def test_more_skips_than_features_are_refused():
    with pytest.raises(ShapeError) as caught:
        small(skips=4)
    assert "skips is 4" in str(caught.value) and "3 features" in str(caught.value)


def test_the_same_generator_seed_gives_the_same_weights():
    a, b, c = small(seed=1), small(seed=1), small(seed=2)
    same = [
        (p.numpy() == q.numpy()).all() for p, q in zip(a.parameters(), b.parameters(), strict=True)
    ]
    assert all(same)
    assert (a.scores[0].weight.numpy() != c.scores[0].weight.numpy()).any()
