"""Costs: published figures, and an independent count of products and parameters."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minifcn as mf
import minifcn.functional as F
from minifcn import nn
from minifcn.models.registry import ENCODERS, MODELS
from minifcn.models.walk import walk
from minifcn.shapes import ShapeError
from minifcn.study import cost, multiply_adds
from minifcn.study.named import model_of

# name: parameters in millions, multiply-adds in billions at 3 x 224 x 224. torchvision's tables of
# pretrained models: https://docs.pytorch.org/vision/stable/models.html
PUBLISHED = {
    "vgg16": (138_357_544, 15.47),
    "resnet18": (11_689_512, 1.81),
    "resnet34": (21_797_672, 3.66),
    "resnet50": (25_557_032, 4.09),
    "squeezenet1_1": (1_235_496, 0.35),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_figures(name):
    found = cost(name, (3, 224, 224))
    assert (found.parameters, round(found.multiply_adds / 1e9, 2)) == PUBLISHED[name]
    assert found.unused == 0


def test_the_fcn_of_2015_as_its_authors_count_it():
    """Long et al., table 1: FCN-VGG16 has 134 M parameters, a field of 404 pixels, stride 32."""
    found = cost({"name": "fcn_vgg16", "skips": 0}, (3, 500, 500))
    assert round(found.parameters / 1e6) in (134, 136)  # theirs leaves out the fixed upsampling
    score = next(row for row in found.rows if row.layer == "score_fr")
    assert score.grid and score.grid.size == (404, 404) and score.grid.step == (32, 32)


# ---- all ones: every product of ones adds one to some output -------------------------------------

sizes = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2))


@given(sizes, st.integers(1, 3), st.integers(1, 2), st.integers(1, 2))
def test_a_convolution_of_ones_counts_its_own_products(kernel_and_groups, N, stride, dilation):
    KH, KW, G, O = kernel_and_groups
    x, w = np.ones((N, 2 * G, 9, 8)), np.ones((O * G, 2, KH, KW))
    layer = nn.Conv2d(2 * G, O * G, (KH, KW), stride, 0, dilation, G, bias=False)
    options: Any = {"stride": stride, "dilation": dilation, "groups": G}
    y = F.conv2d(mf.tensor(x), mf.tensor(w), **options)
    assert cost(layer, x.shape).multiply_adds == y.numpy().sum()
    back = nn.ConvTranspose2d(2 * G, O * G, (KH, KW), stride, bias=False, groups=G)
    w = np.ones((2 * G, O, KH, KW))
    y = F.conv_transpose2d(mf.tensor(x), mf.tensor(w), stride=stride, groups=G)
    assert cost(back, x.shape).multiply_adds == y.numpy().sum()


def test_a_matrix_product_of_ones_counts_its_own_products():
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 5, 7, bias=False))
    y = np.ones((2, 60)) @ np.ones((60, 7))
    assert cost(net, (2, 3, 4, 5)).multiply_adds == y.sum()


@pytest.mark.parametrize("name", ["espnet", "unet", "fcn", "fcn_resnet50", "squeezenet1_1"])
def test_a_network_costs_what_its_layers_cost(name):
    """The sizes of all convolutions, told by the modules themselves in a real run."""
    net: Any = model_of(name).eval()
    expected = cost(net, (3, 48, 64)).multiply_adds
    counted = 0

    def spied(layer: Any) -> Any:
        forward = type(layer).forward

        def run(x: Any, **options: Any) -> Any:
            nonlocal counted
            y = forward(layer, x, **options)
            places = x if isinstance(layer, nn.ConvTranspose2d) else y
            N, _, H, W = places.shape
            counted += N * H * W * layer.weight.numel()
            return y

        return run

    for part in net.modules():
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
            part.__dict__["forward"] = spied(part)
    with mf.no_grad():
        net(mf.tensor(np.zeros((1, 3, 48, 64), np.float32)))
    assert expected == counted > 0


# ---- every model of the registry -----------------------------------------------------------------


NAMES = sorted(name for name in {*MODELS, *ENCODERS} if name != "layers")  # it stands for any


@pytest.mark.parametrize("name", NAMES)
def test_every_model_can_be_inspected(name):
    found = cost(name, (3, 224, 256))
    assert found.parameters == sum(p.numel() for p in model_of(name).parameters())
    assert found.parameters - found.unused == sum(row.parameters for row in found.rows)
    assert found.multiply_adds > 0 and found.activation_bytes > 0
    assert found.memory.weights < found.memory.inference < found.memory.training
    assert found.json()["layers"]


def test_a_batch_costs_as_often():
    one, three = cost("fcn", (3, 40, 56)), cost("fcn", (3, 3, 40, 56))
    assert three.multiply_adds == 3 * one.multiply_adds
    assert three.activation_bytes == 3 * one.activation_bytes
    assert three.parameters == one.parameters


def test_a_shared_layer_is_counted_once_but_works_twice():
    shared = nn.Conv2d(4, 4, 3, padding=1)
    found = cost(nn.Sequential(shared, nn.MaxPool2d(1), shared), (4, 8, 8))
    assert len(found.rows) == 3
    assert found.parameters == sum(r.parameters for r in found.rows) == 4 * 4 * 9 + 4
    assert found.multiply_adds == 2 * 4 * 8 * 8 * 4 * 9


def test_a_view_takes_no_bytes_and_what_is_made_takes_its_own():
    class Cropped(nn.Module):
        def forward(self, x: Any) -> Any:
            return x[:, :, 1:].relu()

    (row,) = cost(Cropped(), (2, 5, 6)).rows
    assert row.what == "get_slice+relu" and row.bytes == 4 * 2 * 4 * 6


def test_parameters_that_do_not_run_are_told():
    class Half(nn.Module):
        def __init__(self) -> None:
            self.used, self.idle = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 2, 3)

        def forward(self, x: Any) -> Any:
            return self.used(x)

    assert cost(Half(), (1, 4, 4)).unused == 2 * 9 + 2


def test_other_operators_make_no_products():
    steps = walk(nn.Sequential(nn.MaxPool2d(2), nn.ReLU(), nn.Upsample(scale_factor=2)), (1, 4, 4))
    assert [multiply_adds(step) for step in steps.steps] == [0, 0, 0]


@pytest.mark.parametrize(
    "model, words",
    [
        ("vgg17", "'vgg17', expected one of .*vgg16"),
        ("layers", "layers has to be told its layers"),
        (7, "expected a module, a name or a config"),
    ],
)
def test_a_model_that_is_none_is_refused(model, words):
    with pytest.raises((ValueError, TypeError), match=words):
        cost(model, (3, 8, 8))


def test_an_image_that_is_none_is_refused():
    with pytest.raises(ShapeError, match="expected C H W or N C H W"):
        cost("fcn", (8, 8))


def test_a_model_on_a_gpu_costs_the_same(device):
    net: Any = model_of({"name": "unet", "width": 2, "depth": 3}).to(device)
    assert cost(net, (3, 24, 24)) == cost({"name": "unet", "width": 2, "depth": 3}, (3, 24, 24))


def test_printed_it_is_the_totals():
    assert str(cost("espnet", (3, 64, 64))).startswith("espnet on 1 x 3 x 64 x 64 -> 1 x 20 x 64")
