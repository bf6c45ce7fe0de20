"""SqueezeNet 1.1: reference outputs of the real weights, its class map, its features for an FCN."""

import json

import numpy as np
import pytest

import minifcn as mf
from minifcn.images import read_image
from minifcn.interop import load_weights
from minifcn.models.squeezenet import SqueezeNet, SqueezeNetEncoder
from tests.shared_data import shared_data

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def photo(H, W, seed=0):
    x = np.random.default_rng(seed).standard_normal((1, 3, H, W))
    return mf.tensor(x.astype(np.float32))


def small(seed=0):
    return SqueezeNet(classes=7, generator=np.random.default_rng(seed)).eval()


@pytest.fixture(scope="module")
def trained():
    net = SqueezeNet().eval()
    load_weights(net, shared_data("squeezenet_v1_1") / "squeezenet_v1_1.safetensors")
    return net


def test_the_reference_logits_are_reproduced(trained):
    place, photos = shared_data("squeezenet_v1_1"), shared_data("demo_photos")
    wanted = np.load(place / "reference_logits.npz")
    listed = json.loads((place / "reference_top5.json").read_text(encoding="utf-8"))
    names = [name for name in wanted.files if not name.endswith("_hotdogmap")]
    assert len(names) == 10
    for name in names:
        rgb = read_image(photos / f"{name}_crop224.png")
        x = ((rgb / np.float32(255) - MEAN) / STD).transpose(2, 0, 1)[None]
        with mf.no_grad():
            y = trained(mf.tensor(x)).numpy()[0]
            places = trained.class_map(mf.tensor(x)).numpy()[0, 934]
        np.testing.assert_allclose(y, wanted[name], atol=1e-3)
        np.testing.assert_allclose(places, wanted[f"{name}_hotdogmap"], atol=1e-3)
        assert y.argsort()[::-1][:5].tolist() == [row[0] for row in listed[name]["top5"]]


def test_the_logits_are_the_mean_of_the_class_map():
    net, x = small(), photo(61, 40)
    with mf.no_grad():
        places = net.class_map(x).numpy()
        assert places.shape == (1, 7, 3, 2)
        np.testing.assert_allclose(net(x).numpy(), places.mean((2, 3)), rtol=1e-5)


def test_dropout_acts_in_training_only():
    net, x = small(), photo(40, 40)
    with mf.no_grad():
        assert (net(x).numpy() == net(x).numpy()).all()
        net.train()
        assert (net(x).numpy() != net(x).numpy()).any()


def test_the_encoder_ends_with_the_features_of_the_classifier():
    net, encoder = small(), SqueezeNetEncoder().eval()
    state = net.state_dict()
    encoder.load_state_dict({k: v for k, v in state.items() if k.startswith("features.")})
    for H, W in ((17, 17), (50, 35), (64, 48)):
        with mf.no_grad():
            features = encoder(photo(H, W))
            np.testing.assert_array_equal(features[-1].numpy(), net.features(photo(H, W)).numpy())
        assert tuple(f.shape[1] for f in features) == encoder.channels


def test_small_images_are_padded_for_the_encoder():
    encoder = SqueezeNetEncoder().eval()
    x = photo(5, 20)
    padded = np.zeros((1, 3, 17, 20), np.float32)
    padded[:, :, :5] = x.numpy()
    with mf.no_grad():
        for a, b in zip(encoder(x), encoder(mf.tensor(padded)), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_the_middle_of_a_class_map_cell():
    """Cell i sees 103 pixels up and down from pixel 16 i + 15."""
    net = SqueezeNet(classes=1).eval()
    with mf.no_grad():
        for p in net.parameters():  # all that is seen counts, and nothing is cut off
            p.copy_(np.full(p.shape, 0.01 if p.ndim > 1 else 1, np.float32))
    net.double()
    x = np.zeros((1, 3, 900, 17))
    with mf.no_grad():
        before = net.class_map(mf.tensor(x)).numpy()[0, 0, :, 0]
    cell, seen = 25, {}
    middle, reach = 16 * cell + 15, SqueezeNetEncoder().radius
    for row in (middle - reach - 1, middle - reach, middle + reach, middle + reach + 1):
        y = x.copy()
        y[:, :, row] = 1
        with mf.no_grad():
            after = net.class_map(mf.tensor(y)).numpy()[0, 0, :, 0]
        seen[row - middle] = bool(after[cell] != before[cell])
    assert seen == {-104: False, -103: True, 103: True, 104: False}
