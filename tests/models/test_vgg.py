"""VGG16: its layers and names, its pools in both roundings, and layers made blank to be loaded."""

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn import nn
from minifcn.models.vgg import VGG16, VGG16Encoder

# Of the paper's table 1, column D, by torchvision's numbers
CONVS = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256,
         17: 512, 19: 512, 21: 512, 24: 512, 26: 512, 28: 512}  # fmt: skip


def photo(H, W, N=1):
    x = np.random.default_rng(0).standard_normal((N, 3, H, W))
    return mf.tensor(x.astype(np.float32))


def narrow(**options):
    return VGG16(classes=5, width=2, generator=np.random.default_rng(0), **options).eval()


def test_names_and_shapes_are_those_of_the_paper_and_of_torchvision():
    with nn.blank():
        found = {name: p.shape for name, p in VGG16().named_parameters()}
    wanted: dict[str, tuple[int, ...]] = {}
    before = 3
    for number, channels in CONVS.items():
        wanted[f"features.{number}.weight"] = (channels, before, 3, 3)
        wanted[f"features.{number}.bias"] = (channels,)
        before = channels
    for number, (o, i) in {0: (4096, 25088), 3: (4096, 4096), 6: (1000, 4096)}.items():
        wanted |= {f"classifier.{number}.weight": (o, i), f"classifier.{number}.bias": (o,)}
    assert found == wanted


def test_at_224_the_mean_before_the_linear_layers_does_nothing():
    net, x = narrow(), photo(224, 224)
    with mf.no_grad():
        plain = net.classifier(F.flatten(net.features(x), 1)).numpy()
        np.testing.assert_allclose(net(x).numpy(), plain, rtol=1e-5, atol=1e-6)
        assert net.features(x).shape == (1, 16, 7, 7)


def test_pools_round_up_for_an_fcn_and_down_for_the_classifier():
    net = narrow()
    state = {k: v for k, v in net.state_dict().items() if k.startswith("features.")}
    up, down = (VGG16Encoder(ceil, width=2).eval() for ceil in (True, False))
    for encoder in (up, down):
        encoder.load_state_dict(state)
    with mf.no_grad():
        for f, g in zip(up(photo(64, 96)), down(photo(64, 96)), strict=True):
            np.testing.assert_array_equal(f.numpy(), g.numpy())
        assert [f.shape[2:] for f in up(photo(33, 70))] == [
            (17, 35), (9, 18), (5, 9), (3, 5), (2, 3)]  # fmt: skip
        last = down(photo(33, 70))[-1].numpy()
        assert last.shape[2:] == (1, 2)
        np.testing.assert_array_equal(last, net.features(photo(33, 70)).numpy())


def test_linear_layers_are_dropped_out_in_training_only():
    net, x = narrow(), photo(32, 32)
    with mf.no_grad():
        assert (net(x).numpy() == net(x).numpy()).all()
        net.train()
        assert (net(x).numpy() != net(x).numpy()).any()


def test_a_blank_model_draws_nothing_and_is_zero_until_it_is_loaded():
    stream = nn.manual_seed(5)
    before = stream.bit_generator.state
    with nn.blank():
        net = VGG16()
        up = nn.ConvTranspose2d(1, 1, 4, weight_init=nn.init.bilinear)
    assert stream.bit_generator.state == before
    assert not any(p.numpy().any() for p in net.features.parameters())
    assert up.weight.numpy().sum() == 4, "what is not random is as always"
    assert nn.Linear(2, 2).weight.numpy().any(), "blank ends where it ends"
    state = narrow().state_dict()
    with nn.blank():
        other = VGG16(classes=5, width=2).eval()
    other.load_state_dict(state)
    x = photo(40, 40)
    with mf.no_grad():
        np.testing.assert_array_equal(other(x).numpy(), narrow()(x).numpy())


def test_blank_nests_and_ends_after_an_error():
    with nn.blank():
        with pytest.raises(RuntimeError), nn.blank():
            raise RuntimeError
        assert not nn.Linear(2, 2).weight.numpy().any()
    assert nn.Linear(2, 2).weight.numpy().any()
