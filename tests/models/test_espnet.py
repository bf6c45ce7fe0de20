"""ESPNet: any size, the paper's counts, its reach; and the authors' weights give their results."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifcn as mf
from minifcn.data import FolderDataset, Normalize
from minifcn.images import read_image, read_label
from minifcn.interop import load_weights, open_model
from minifcn.models import build
from minifcn.models.espnet import DownPyramid, ESPNet, Pyramid
from minifcn.train.recipe import evaluate
from tests.shared_data import shared_data

AUTHORS = Normalize(
    (110.3313 / 255, 108.4091 / 255, 105.0335 / 255), (72.1252, 72.6885, 69.9026), "BGR"
)


def small(classes=3, p=1, q=1, seed=0):
    """A network whose norms have something to do."""
    rng = np.random.default_rng(seed)
    net = ESPNet(classes, p, q, generator=rng).eval()
    for name, buffer in net.named_buffers():
        if name.endswith(("mean", "var")):
            buffer.data[...] = rng.uniform(0.5, 1.5, buffer.shape)
    return net


def photo(H, W, N=1, seed=0):
    return np.random.default_rng(seed).standard_normal((N, 3, H, W)).astype(np.float32)


def run(net, x):
    with mf.no_grad():
        return net(mf.tensor(x)).numpy()


@settings(max_examples=12)
@given(st.integers(1, 34), st.integers(1, 34), st.integers(1, 2))
def test_any_image_size_gives_a_class_for_every_pixel(H, W, N):
    assert run(small(), photo(H, W, N)).shape == (N, 3, H, W)


def test_other_sizes_are_those_of_the_image_repeated_at_its_edge():
    net, x = small(), photo(13, 18)
    whole = np.pad(x, ((0, 0), (0, 0), (0, 3), (0, 6)), mode="edge")
    np.testing.assert_array_equal(run(net, x), run(net, whole)[:, :, :13, :18])


@pytest.mark.parametrize("classes", range(1, 13))
def test_any_number_of_classes(classes):
    assert run(small(classes, 0, 0), photo(8, 8)).shape[1] == classes


def test_it_is_as_large_as_the_authors_file():
    """358,193 numbers in the CamVid file, p = 2, q = 8: parameters and running statistics."""
    state = ESPNet(12, 2, 8).state_dict()
    assert sum(v.numel() for k, v in state.items() if "tracked" not in k) == 358_193


def test_a_description_makes_it_again():
    net = ESPNet(5, 1, 2, in_channels=1)
    again: Any = build(net.config)
    assert again.config == net.config
    assert {k: v.shape for k, v in again.state_dict().items()} == {
        k: v.shape for k, v in net.state_dict().items()
    }


@pytest.mark.parametrize("name", ["classes", "p", "q", "in_channels"])
def test_arguments_are_counted_in_whole_numbers(name):
    with pytest.raises(ValueError, match=f"ESPNet: {name} is -1, expected at least"):
        ESPNet(**{name: -1})  # type: ignore[arg-type] # whole numbers, all of them


def test_a_block_is_its_formula():
    """y = d1 | d2 | d2 + d4 | ..., each convolution by a loop over its nine taps."""
    rng = np.random.default_rng(0)
    block = Pyramid(11, 11, generator=rng).eval()
    x = rng.standard_normal((1, 11, 9, 10)).astype(np.float32)
    n, first = 2, 3
    r = np.einsum("oc,chw->ohw", block.c1.conv.weight.numpy()[:, :, 0, 0], x[0])
    assert len(r) == n
    d = {}
    for k in (1, 2, 4, 8, 16):
        wide = np.pad(r, ((0, 0), (k, k), (k, k)))
        w = getattr(block, f"d{k}").conv.weight.numpy()
        d[k] = sum(
            np.einsum("oc,chw->ohw", w[:, :, u, v], wide[:, u * k : u * k + 9, v * k : v * k + 10])
            for u in range(3)
            for v in range(3)
        )
    assert len(d[1]) == first
    s4 = d[2] + d[4]
    y = np.concatenate([d[1], d[2], s4, s4 + d[8], s4 + d[8] + d[16]]) + x[0]
    y = y / np.sqrt(1 + 1e-3)  # the norm as it is made
    np.testing.assert_allclose(run(block, x)[0], np.where(y > 0, y, 0.25 * y), atol=1e-5)


def test_a_block_that_shrinks_rounds_up_and_adds_nothing():
    block = DownPyramid(4, 10).eval()
    assert run(block, np.zeros((1, 4, 7, 5), np.float32)).shape == (1, 10, 4, 3)
    block.c1.conv.weight.data[...] = 0
    assert not run(block, np.ones((1, 4, 8, 6), np.float32)).any()


@pytest.mark.parametrize("side", ["left", "right"])
def test_nothing_beyond_the_radius_is_seen(side):
    """Change one column: the logits change up to `radius` pixels from its cell, and no further."""
    net = small(classes=5, p=0, q=0)
    R = net.radius
    W = 8 * (R // 8 + 6)
    x = photo(8, W)
    column = 3 if side == "left" else W - 4
    other = x.copy()
    other[..., column] += 100
    moved = np.flatnonzero((run(net, x) != run(net, other)).any((0, 1, 2)))
    far = np.abs(moved - column).max()
    assert R - 40 < far <= R + 8  # the cell of 8; and the radius is no idle bound


def test_what_trains_it_reaches_every_parameter():
    net = small().train()
    y = net(mf.tensor(photo(16, 16, N=2)))
    y.backward(mf.tensor(np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)))
    assert all(p.grad is not None and p.grad.numpy().any() for p in net.parameters())


def test_devices_agree(device):
    net, x = small(classes=5), photo(11, 16)
    wanted = run(net, x)
    with mf.no_grad():
        y = net.to(device)(mf.tensor(x).to(device)).cpu().numpy()
    np.testing.assert_allclose(y, wanted, atol=1e-4 * np.abs(wanted).max())


# ---- the authors' weights ------------------------------------------------------------------------


def authors():
    """(network, the folder of its references)"""
    folder, net = shared_data("espnet_camvid"), ESPNet(12, 2, 8)
    report = load_weights(net, folder / "espnet_p2_q8_camvid.safetensors")
    assert report.complete and not report.renamed
    return net.eval(), folder


def test_the_authors_logits_come_out():
    net, folder = authors()
    y = run(net, AUTHORS(read_image(folder / "input_0016E5_07959.png"))[None])
    wanted = np.load(folder / "reference_logits.npz")["0016E5_07959_every8"]
    np.testing.assert_allclose(y[0, :, ::8, ::8], wanted, atol=1e-3)
    told = json.loads((folder / "reference.json").read_text())["0016E5_07959"]
    assert y.mean() == pytest.approx(told["logit_mean"], abs=1e-5)
    assert y.std() == pytest.approx(told["logit_std"], abs=1e-5)
    drawn = read_label(folder / "pred_0016E5_07959.png")
    assert (y[0, :11].argmax(0) != drawn).mean() < 1e-4


def test_the_authors_class_maps_come_out_to_the_pixel():
    folder, frames = shared_data("espnet_camvid"), shared_data("camvid") / "val" / "images"
    predictor = open_model(folder / "espnet_p2_q8_camvid.safetensors").predictor()
    names = sorted(json.loads((folder / "reference.json").read_text()))
    assert len(names) == 3
    for name in names:
        seen = predictor(read_image(frames / f"{name}.jpg")).class_map
        assert (seen != read_label(folder / f"pred_{name}.png")).mean() < 1e-4, name


def test_the_colours_in_the_wrong_order_are_noticed():
    net, folder = authors()
    image = read_image(folder / "input_0016E5_07959.png")
    drawn = read_label(folder / "pred_0016E5_07959.png")
    y = run(net, Normalize(AUTHORS.mean, AUTHORS.std, "RGB")(image)[None])
    assert (y[0, :11].argmax(0) != drawn).mean() > 0.05


@pytest.mark.slow
def test_the_authors_weights_score_on_camvid_as_measured():
    """69.03 % mean IoU, 93.20 % of the pixels on val; classes 0..10, void not counted."""
    weights = shared_data("espnet_camvid") / "espnet_p2_q8_camvid.safetensors"
    predictor = open_model(weights).predictor()
    assert predictor.normalize == AUTHORS
    confusion = evaluate(predictor, FolderDataset(shared_data("camvid") / "val", cache=False))
    assert 100 * confusion.mean_iou == pytest.approx(69.03, abs=0.1)
    assert 100 * confusion.pixel_accuracy == pytest.approx(93.20, abs=0.1)
