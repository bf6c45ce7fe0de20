"""What every model and encoder of the registry promises, whoever wrote it."""

import json
import math
from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn import kernels, nn
from minifcn.infer import predict_classes
from minifcn.kernels import reference
from minifcn.models import build
from minifcn.models.registry import ENCODERS, MODELS
from minifcn.nn.fold import fold
from minifcn.shapes import ShapeError

# Each registered name, as small as it goes. A new model is entered here, and in FULL below.
SMALL: dict[str, dict[str, Any]] = {
    "fcn": {"encoder": {"name": "small", "width": 2, "depth": 3}, "classes": 3},
    "fcn_vgg16": {"classes": 3, "width": 2, "hidden": 6, "frozen": False, "geometry": "zero"},
    "fcn_resnet50": {"classes": 3, "width": 2},
    "unet": {"classes": 3, "width": 2, "depth": 3},
    "espnet": {"classes": 3, "p": 1, "q": 1},
    "squeezenet1_1": {"classes": 3},
    "vgg16": {"classes": 3, "width": 1},
    "convolutional": {
        "model": {"name": "resnet18", "classes": 3, "width": 2},
        "input_size": [40, 56],
        "full_size": True,
    },
    "resnet18": {"classes": 3, "width": 2},
    "resnet34": {"classes": 3, "width": 2},
    "resnet50": {"classes": 3, "width": 2},
}
SMALL_ENCODERS: dict[str, dict[str, Any]] = {
    "small": {"width": 2, "depth": 3},
    "squeezenet1_1": {},
    "vgg16": {"width": 1},
    "resnet18": {"width": 2},
    "resnet34": {"width": 2, "dilate": [False, True, True]},
    "resnet50": {"width": 2, "dilate": [False, False, True]},
}
SMALLEST = {"squeezenet1_1": 17, "vgg16": 32}  # classifiers that say so

# name -> parameters of the published network, and who says so
FULL: dict[str, tuple[dict[str, Any], int]] = {
    # torchvision.models, `num_params` of the IMAGENET1K_V1 and COCO_WITH_VOC_LABELS_V1 weights
    "vgg16": ({}, 138_357_544),
    "resnet18": ({}, 11_689_512),
    "resnet34": ({}, 21_797_672),
    "resnet50": ({}, 25_557_032),
    "squeezenet1_1": ({}, 1_235_496),
    "fcn_resnet50": ({"aux": True}, 35_322_218),
    # The authors' voc-fcn32s, read off their network: VGG16 without fc8 (138,357,544 - 4,097,000),
    # a score of 21 classes on 4096 channels (86,037), and upscore, 64 x 64 for 21 x 21 (1,806,336)
    "fcn_vgg16": ({"skips": 0}, 138_357_544 - 4_097_000 + 86_037 + 1_806_336),
    # Mehta and others: "0.36 M"; the shared weights hold 358,193 values with running statistics
    "espnet": ({"classes": 12, "p": 2, "q": 8}, 354_517),
    # Figure 1 of U-Net, summed layer by layer; 31.0 M, as is often told
    "unet": ({"classes": 2, "in_channels": 1}, 31_030_658),
    # Surgery keeps every one
    "convolutional": ({"model": {"name": "squeezenet1_1"}, "input_size": 224}, 1_235_496),
    "fcn": (SMALL["fcn"], 0),
}


def stood_on(encoder: str, **options: Any) -> dict[str, Any]:
    config = {"name": encoder, **SMALL_ENCODERS[encoder]}
    return {"name": "fcn", "encoder": config, "classes": 3, **options}


CLASSIFIER_NAMES = ("squeezenet1_1", "vgg16", "resnet18", "resnet34", "resnet50")
ALL = {name: {"name": name, **options} for name, options in SMALL.items()}
ALL |= {f"fcn on {name}": stood_on(name) for name in ENCODERS}
ALL["fcn on squeezenet1_1, no skip"] = stood_on("squeezenet1_1", skips=0)
ALL["fcn_resnet50 by cells"] = {**ALL["fcn_resnet50"], "resize": "cells"}
ALL["fcn_vgg16 of 2015"] = {**ALL["fcn_vgg16"], "geometry": "2015"}
for name in ("squeezenet1_1", "vgg16"):
    model = {"name": name, **SMALL[name]}
    ALL[f"convolutional {name}"] = {**ALL["convolutional"], "model": model}
SEGMENTERS = [title for title in ALL if title.split()[0] not in CLASSIFIER_NAMES]
CLASSIFIERS = [title for title in ALL if title not in SEGMENTERS]


def made(title: str, seed: int = 0) -> Any:
    """A model whose parameters are all random, zero ones too, and of a size that leaves 1 as 1."""
    rng = np.random.default_rng(seed)
    net: Any = build(ALL[title], rng).eval()
    with mf.no_grad():
        for parameter in net.parameters():
            values = rng.uniform(0.5, 1.5, parameter.shape)
            if parameter.ndim > 1:
                wide = math.sqrt(2 / math.prod(parameter.shape[1:]))
                values = rng.standard_normal(parameter.shape) * wide
            parameter.copy_(values.astype(np.float32))
    return net


def photo(H: int, W: int, N: int = 1, seed: int = 0) -> Any:
    x = np.random.default_rng(seed).standard_normal((N, 3, H, W))
    return x.astype(np.float32)


def run(net: Any, x: Any) -> Any:
    with mf.no_grad():
        return net(mf.tensor(x)).numpy()


def test_every_registered_name_is_tested_here():
    listed = {"layers"}  # a Sequential of anything, which promises nothing more
    assert set(SMALL) == set(FULL) == set(MODELS) - listed
    assert set(SMALL_ENCODERS) == set(ENCODERS)


def test_what_the_room_offers_is_there():
    """Loaded when asked for, each under its own name; and `mf.models.surgery` too."""
    for name in mf.models.__all__:
        assert getattr(mf.models, name).__name__ == name
    assert mf.models.surgery.convolutionize is mf.models.convolutionize
    with pytest.raises(AttributeError, match="'minifcn.models' has no attribute 'VGG11'"):
        _ = mf.models.VGG11


@pytest.mark.parametrize("title", ALL)
def test_a_config_builds_the_same_model_again(title):
    net = made(title)
    config = json.loads(json.dumps(net.config))
    again: Any = build(config)
    assert again.config == net.config and set(config) >= set(ALL[title])
    state = net.state_dict()
    assert {k: v.shape for k, v in again.state_dict().items()} == {
        k: v.shape for k, v in state.items()
    }
    again.eval().load_state_dict(state)
    x = photo(33, 40)
    np.testing.assert_array_equal(run(again, x), run(net, x))


@pytest.mark.parametrize("name", [name for name in FULL if FULL[name][1]])
def test_it_has_as_many_parameters_as_was_published(name):
    options, published = FULL[name]
    with nn.blank():
        net = build({"name": name, **options})
    assert sum(p.numel() for p in net.parameters()) == published


@pytest.mark.parametrize("title", SEGMENTERS)
@pytest.mark.parametrize("H, W", [(1, 1), (2, 19), (33, 5), (31, 64)])
def test_every_pixel_gets_its_scores_at_any_size(title, H, W):
    y = run(made(title), photo(H, W, N=2))
    assert y.shape == (2, 3, H, W) and np.isfinite(y).all()


@pytest.mark.parametrize("title", CLASSIFIERS)
@pytest.mark.parametrize("H, W", [(1, 1), (16, 40), (33, 31), (32, 47)])
def test_a_classifier_takes_any_size_or_says_what_it_needs(title, H, W):
    least, net = SMALLEST.get(title, 1), made(title)
    if min(H, W) >= least:
        assert run(net, photo(H, W, N=2)).shape == (2, 3)
        assert run(net.features, photo(H, W)).ndim == 4
        return
    axis, size = ("2 (H)", H) if least > H else ("3 (W)", W)
    with pytest.raises(ShapeError) as caught:
        run(net, photo(H, W))
    message = str(caught.value).split("\n")[0]
    assert message == f"{title}: axis {axis} of x is {size}, expected at least {least}"


@pytest.mark.parametrize("title", ALL)
def test_gradient_reaches_every_parameter(title):
    net = made(title).train()
    y = net(mf.tensor(photo(64, 64, N=2)))
    (
        y * mf.tensor(np.random.default_rng(1).standard_normal(y.shape).astype(np.float32))
    ).sum().backward()
    dead = [
        name
        for name, p in net.named_parameters()
        if p.grad is None or not np.isfinite(p.grad.numpy()).all() or not p.grad.numpy().any()
    ]
    assert not dead


@pytest.mark.parametrize("title", SEGMENTERS)
def test_a_pixel_changes_no_cell_further_than_the_radius(title):
    """Cell c holds the outputs S c .. S c + S - 1, which see R pixels further and no more."""
    net = made(title)
    S, R = net.stride, net.radius
    W = 2 * S * math.ceil((R + S) / S) + 3 * S + 5
    x = photo(5, W)
    before = run(net, x)
    columns = np.arange(W)
    first = columns // S * S
    for at in (W // 2, W // 2 // S * S, W // 2 // S * S + S - 1):
        moved = x.copy()
        moved[..., at] += 3
        moved[..., at] *= -2
        change = np.abs(run(net, moved) - before).max((0, 1, 2))
        far = (at < first - R) | (at > first + S - 1 + R)
        assert far.any() and change[~far].max() > 0
        assert change[far].max() <= 1e-5 * change.max()


@pytest.mark.parametrize("title", SEGMENTERS)
def test_tiles_equal_the_whole(title):
    net = made(title)
    S, R = net.stride, net.radius
    core = 2 * S
    smallest = core + 2 * S * math.ceil(R / S)
    H, W = 8, smallest + 3 * core + (0 if title == "fcn_resnet50" else 3)  # see fcn_resnet.py
    x, seen = photo(H, W), []

    def forward(tile: Any) -> Any:
        seen.append(tile.shape[3])
        return run(net, tile)

    whole = run(net, x)
    tiled = predict_classes(forward, x, stride=S, margin=R, bytes_per_pixel=1,
                            memory_limit=H * smallest, probability=True)  # fmt: skip
    assert len(seen) > 1 and max(seen) <= smallest
    likely = np.exp(whole - whole.max(1, keepdims=True))
    likely = (likely / likely.sum(1, keepdims=True)).max(1)
    probability: Any = tiled.probability
    np.testing.assert_allclose(probability, likely, rtol=1e-3, atol=1e-4)
    second, best = np.sort(whole, 1)[:, -2:].transpose(1, 0, 2, 3)
    sure = best - second > 1e-4 * np.abs(whole).max()
    assert sure.mean() > 0.5
    assert (tiled.class_map == whole.argmax(1))[sure].all()


@pytest.mark.parametrize("title", ALL)
def test_norms_are_folded_into_convolutions(title):
    """The same network with its norms, if they follow convolutions, gone."""
    net, x = made(title), photo(64, 72)
    rng = np.random.default_rng(2)
    for name, buffer in net.named_buffers():
        if name.endswith(("mean", "var")):
            buffer.copy_(rng.uniform(0.5, 1.5, buffer.shape).astype(np.float32))
    folded = fold(net, mf.tensor(x))
    assert norms(folded) == norms(net) == 0 or norms(folded) < norms(net)
    assert norms(folded) == 0 or title == "espnet"  # whose norms follow sums
    wanted = run(net, x)
    np.testing.assert_allclose(run(folded, x), wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def norms(net: Any) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


@pytest.mark.parametrize("title", ["fcn", "unet", "resnet18", "espnet", "fcn on vgg16"])
def test_the_fast_kernels_agree_with_plain_loops(title, monkeypatch):
    net, x = made(title), photo(9, 8)
    fast = run(net, x)
    monkeypatch.setattr(kernels, "of", lambda *_, **__: reference)
    slow = run(net, x)
    np.testing.assert_allclose(fast, slow, rtol=1e-4, atol=1e-4 * np.abs(slow).max())


@pytest.mark.parametrize("title", ["fcn", "unet", "resnet18", "espnet", "fcn on squeezenet1_1"])
def test_a_gpu_gives_the_same(title, cuda):
    net, x = made(title), photo(17, 18)
    here = run(net, x)
    net.to("cuda")
    with mf.no_grad():
        there = net(mf.tensor(x, device="cuda")).numpy()
    np.testing.assert_allclose(there, here, rtol=1e-3, atol=1e-4 * np.abs(here).max())
