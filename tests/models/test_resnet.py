"""ResNet: its names, and dilation in place of stride, which computes the same and more of it."""

import numpy as np
import pytest

import minifcn as mf
from minifcn.models import build
from minifcn.models.resnet import ResNet, ResNetEncoder


def photo(H, W, N=1):
    x = np.random.default_rng(0).standard_normal((N, 3, H, W))
    return mf.tensor(x.astype(np.float32))


def settled(net, seed=0):
    """With running statistics that are not 0 and 1."""
    rng = np.random.default_rng(seed)
    for name, buffer in net.named_buffers():
        if name.endswith(("mean", "var")):
            buffer.copy_(rng.uniform(0.5, 1.5, buffer.shape).astype(np.float32))
    return net.eval()


@pytest.mark.parametrize("depth, blocks, convs", [(18, 8, 2), (34, 16, 2), (50, 16, 3)])
def test_names_are_those_of_torchvision(depth, blocks, convs):
    names = list(ResNet(depth, classes=2, width=1).state_dict())
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert names[:6] == ["conv1.weight", *(f"bn1.{part}" for part in norm)]
    assert names[-2:] == ["fc.weight", "fc.bias"]
    inside = [name for name in names if name.startswith("layer")]
    assert len({name.rpartition(".conv")[0] for name in inside if ".conv" in name}) == blocks
    shortcuts = 3 if depth < 50 else 4
    assert len(inside) == blocks * convs * 6 + shortcuts * 6
    assert {"layer2.0.downsample.0.weight", "layer2.0.downsample.1.running_var"} <= set(names)
    assert ("layer1.0.downsample.0.weight" in names) == (depth == 50)


def test_the_stride_of_a_bottleneck_is_in_its_3x3():
    block = ResNetEncoder(50, width=1).layer3[0]
    assert [c.stride for c in (block.conv1, block.conv2, block.conv3)] == [(1, 1), (2, 2), (1, 1)]


@pytest.mark.parametrize("depth", [18, 34, 50])
@pytest.mark.parametrize("dilate", [(False, False, True), (False, True, True), (True, True, True)])
def test_the_dilated_network_computes_the_strided_one_at_more_places(depth, dilate):
    """y_dilated[s i, s j] = y_strided[i, j]: the same taps of the same pixels, borders too."""
    plain = settled(ResNetEncoder(depth, width=2, generator=np.random.default_rng(0)))
    dense = ResNetEncoder(depth, dilate, width=2).eval()
    dense.load_state_dict(plain.state_dict())
    x = photo(71, 90)
    with mf.no_grad():
        few, many = plain(x)[-1].numpy(), dense(x)[-1].numpy()
    step = plain.strides[-1] // dense.strides[-1]
    assert step == 2 ** sum(dilate)
    np.testing.assert_allclose(many[:, :, ::step, ::step], few, rtol=1e-3,
                               atol=1e-5 * np.abs(few).max())  # fmt: skip


def test_the_classifier_has_the_encoders_last_feature():
    net = settled(ResNet(18, classes=3, width=2, generator=np.random.default_rng(0)))
    encoder = ResNetEncoder(18, width=2).eval()
    encoder.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("fc.")})
    x = photo(45, 38, N=2)
    with mf.no_grad():
        features = encoder(x)
        np.testing.assert_array_equal(net.features(x).numpy(), features[-1].numpy())
        mean = features[-1].numpy().mean((2, 3))
        logits = mean @ net.fc.weight.numpy().T + net.fc.bias.numpy()
        np.testing.assert_allclose(net(x).numpy(), logits, rtol=1e-4, atol=1e-5)
    assert tuple(f.shape[1] for f in features) == encoder.channels
    assert [f.shape[2] for f in features] == [-(-45 // s) for s in encoder.strides]


@pytest.mark.parametrize(
    "config, words",
    [
        ({"name": "resnet18", "dilate": [True]}, "resnet18: dilate is [True], expected three"),
        ({"name": "resnet50", "dilate": [0, 1, 1]}, "resnet50: dilate[0] is 0, expected True"),
        ({"name": "resnet34", "width": 0}, "resnet34: width is 0, expected at least 1"),
        ({"name": "resnet18", "classes": 0}, "resnet18: classes is 0, expected at least 1"),
        ({"name": "resnet18", "depth": 50}, "resnet18 does not take these options"),
    ],
)
def test_mistakes_are_named(config, words):
    with pytest.raises((ValueError, TypeError)) as caught:
        build(config)
    assert words in str(caught.value)


def test_another_depth_is_refused():
    with pytest.raises(ValueError, match="depth is 20, expected 18, 34 or 50"):
        ResNetEncoder(20)
