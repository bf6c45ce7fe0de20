"""fcn_resnet50: its parts and names, its resize, its second classifier."""

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn.models.fcn_resnet import FCNResNet50


def photo(H, W, N=1):
    x = np.random.default_rng(0).standard_normal((N, 3, H, W))
    return mf.tensor(x.astype(np.float32))


def small(aux=True):
    return FCNResNet50(3, aux, width=2, generator=np.random.default_rng(0)).eval()


def test_names_are_those_of_torchvision():
    names = list(small().state_dict())
    assert {name.split(".")[0] for name in names} == {"backbone", "classifier", "aux_classifier"}
    heads = [name for name in names if name.startswith("classifier.")]
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    parts = ["0.weight", *(f"1.{part}" for part in norm), "4.weight", "4.bias"]
    assert heads == [f"classifier.{part}" for part in parts]
    assert not any("aux" in name for name in small(aux=False).state_dict())
    assert not any(".fc." in name for name in names)


@pytest.mark.parametrize("H, W", [(64, 48), (61, 43), (3, 90)])
def test_logits_are_the_scores_at_stride_8_enlarged_to_the_image(H, W):
    net, x = small(), photo(H, W)
    with mf.no_grad():
        scores = net.classifier(net.backbone(x)[-1])
        assert scores.shape == (1, 3, -(-H // 8), -(-W // 8))
        wanted = F.interpolate(scores, size=(H, W), mode="bilinear", align_corners=False)
        np.testing.assert_array_equal(net(x).numpy(), wanted.numpy())


def test_by_cells_is_the_same_where_8_divides_the_size():
    net, x = small(), photo(64, 48)
    cells = FCNResNet50(3, True, width=2, resize="cells").eval()
    cells.load_state_dict(net.state_dict())
    with mf.no_grad():
        np.testing.assert_array_equal(cells(x).numpy(), net(x).numpy())
        assert cells(photo(61, 43)).shape == (1, 3, 61, 43)
    with pytest.raises(ValueError, match="resize is 'pixels', expected one of 'image', 'cells'"):
        FCNResNet50(3, width=2, resize="pixels")


def test_the_auxiliary_classifier_sees_layer_3_and_trains_with_the_other():
    net = small().train()
    out, auxiliary = net.with_auxiliary(photo(40, 33, N=2))
    assert out.shape == auxiliary.shape == (2, 3, 40, 33)
    assert (out.numpy() != auxiliary.numpy()).any()
    net.zero_grad()
    (auxiliary * auxiliary).sum().backward()
    reached = {name for name, p in net.named_parameters() if p.grad is not None}
    assert any(name.startswith("backbone.layer3") for name in reached)
    assert not any(name.startswith(("backbone.layer4", "classifier")) for name in reached)


def test_without_an_auxiliary_classifier_there_is_none_to_ask():
    with pytest.raises(ValueError, match="fcn_resnet50: there is no auxiliary classifier"):
        small(aux=False).with_auxiliary(photo(8, 8))
