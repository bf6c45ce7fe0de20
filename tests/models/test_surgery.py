"""Surgery: the network gives the classifier's logits, on its own size and at every place."""

import numpy as np
import pytest

import minifcn as mf
from minifcn import functional as F
from minifcn import nn
from minifcn.models import build
from minifcn.models.convolutional import Convolutional
from minifcn.models.surgery import convolutionize
from tests.models.operated import HEADS, apart, gap, image, rng, run, stirred, trunk


@pytest.mark.parametrize("head", HEADS)
def test_the_map_is_what_the_classifier_says_of_every_cut_out(head):
    """Without padding a window of a larger image sees just what the classifier would see."""
    model = stirred(nn.Sequential(*trunk(), *HEADS[head]))
    network, _ = convolutionize(model, (13, 11))
    assert gap(model, network) < 2e-6
    x = image(2, 3, 19, 17)
    got = run(network, x)  # N K h w
    S = network.stride
    rows, cols = (19 - 13) // S + 1, (17 - 11) // S + 1
    if head != "mean with a rest":  # of which the last windows lack only what is left out
        assert got.shape[2:] == (rows, cols)
    for i in range(rows):
        for j in range(cols):
            cut = x[:, :, i * S : i * S + 13, j * S : j * S + 11]
            assert apart(got[:, :, i, j], run(model, cut)) < 2e-6
    sees = network.grid
    assert sees.size == ((12, 10) if head != "mean with a rest" else (10, 10))
    assert sees.rows.low == sees.cols.low == 0


def test_the_map_differs_from_place_to_place():
    """Else the test above could not fail."""
    network, _ = convolutionize(stirred(nn.Sequential(*trunk(), *HEADS["three linear"])), (13, 11))
    got = run(network, image(1, 3, 19, 17))
    assert np.ptp(got, axis=(2, 3)).min() > 1e-2


class Written(nn.Module):
    """A user's network: operators in its forward, a block inside."""

    def __init__(self):
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.block = Block()
        self.first = nn.Linear(4 * 6 * 5, 8)
        self.drop = nn.Dropout()
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        x = self.block(x)
        x = x.reshape(x.shape[0], -1)
        return self.last(self.drop(F.relu(self.first(x))))


class Block(nn.Module):
    """A fork inside a block is no matter."""

    def __init__(self):
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        return x + self.conv(x).tanh()


class Mean(nn.Module):
    """The mean as an operator; the head in a block of its own."""

    def __init__(self):
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU())
        self.head = HeadBlock()

    def forward(self, x):
        return self.head(self.body(x))


class HeadBlock(nn.Module):
    def __init__(self):
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(x.mean((2, 3)))


@pytest.mark.parametrize("kind", [Written, Mean])
def test_networks_with_a_forward_of_their_own(kind):
    model = stirred(kind())
    network, report = convolutionize(model, (12, 10))
    assert gap(model, network) < 2e-6
    assert run(network, image(1, 3, 20, 30)).ndim == 4
    ours, theirs = network.state_dict(), model.state_dict()
    assert set(ours) == set(theirs), "every array keeps its name"
    if kind is Written:
        assert len(report.names("named")) == 2, "operators become layers, and the report says so"


@pytest.mark.parametrize(
    ("config", "size", "step"),
    [
        ({"name": "vgg16", "width": 4, "classes": 5}, (224, 224), 32),
        ({"name": "vgg16", "width": 4, "classes": 5}, (96, 64), 32),
        ({"name": "resnet18", "width": 8, "classes": 5}, (64, 96), 32),
        ({"name": "resnet50", "width": 4, "classes": 5}, (64, 64), 32),
        ({"name": "squeezenet1_1", "classes": 5}, (63, 47), 16),
    ],
)
def test_the_models_of_the_field(config, size, step):
    model = build(config, generator=rng()).eval()
    network, report = convolutionize(model, size)
    assert gap(model, network) < 1e-5
    assert network.stride == step and network.classes == 5
    H, W = size
    assert run(network, image(1, 3, H + 2 * step, W + step)).shape == (1, 5, 3, 2)
    assert set(network.state_dict()) == set(model.state_dict())
    assert report.names("reshaped") or config["name"] == "squeezenet1_1"


AFFINE = [nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 6, 1), nn.BatchNorm2d(6), nn.Dropout(),
          nn.Flatten(), nn.Linear(6, 3)]  # fmt: skip


@pytest.mark.parametrize("head", [HEADS["global mean"], AFFINE], ids=["linear", "more linear"])
def test_the_mean_of_the_map_is_the_logits(head):
    model = stirred(nn.Sequential(*trunk(padding=1), *head))
    network, report = convolutionize(model, (12, 10), pooling="mean")
    x = image(2, 3, 14, 22)  # of any size, as the mean is over all of it
    got = run(network, x)
    assert got.shape == (2, 3, 7, 11)
    assert apart(got.mean((2, 3)), run(model, x)) < 2e-6
    assert "the mean of the map is the logits" in str(report)


def test_smaller_images_get_zeros_around_them():
    model = stirred(nn.Sequential(*trunk(), *HEADS["flatten, linear"]))
    network, _ = convolutionize(model, (13, 11))
    small = image(1, 3, 9, 6)
    around = np.pad(small, ((0, 0), (0, 0), (2, 2), (2, 3)))
    assert np.array_equal(run(network, small), run(network, around))


def test_a_dry_run_makes_nothing_and_tells_the_same():
    model = stirred(nn.Sequential(*trunk(), *HEADS["three linear"]))
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    nothing, told = convolutionize(model, (13, 11), dry_run=True)
    network, done = convolutionize(model, (13, 11))
    assert nothing is None and told == done and isinstance(network, Convolutional)
    assert "7.weight   7 x 160" in str(told) and "7 x 8 x 5 x 4" in str(told)
    after = model.state_dict()
    assert all(np.array_equal(after[name].numpy(), value) for name, value in before.items())
    next(network.parameters()).data[...] = 0
    assert next(model.parameters()).numpy().any(), "the network has copies"


def test_a_layer_used_twice_stays_one_layer():
    class Twice(nn.Module):
        def __init__(self):
            self.conv = nn.Conv2d(3, 3, 1)
            self.fc = nn.Linear(3 * 16, 2)

        def forward(self, x):
            return self.fc(F.flatten(self.conv(self.conv(x)), 1))

    model = stirred(Twice())
    network, _ = convolutionize(model, 4)
    assert gap(model, network) < 2e-6
    assert set(network.state_dict()) == set(model.state_dict())


def test_training_and_devices_are_kept(device):
    model = stirred(nn.Sequential(*trunk(), *HEADS["bins of two sizes"])).to(device)
    network, _ = convolutionize(model.train(), (13, 11))
    assert network.training and {p.device for p in network.parameters()} == {device}
    model.eval(), network.eval()
    x = mf.tensor(image(1, 3, 13, 11), device=device)
    with mf.no_grad():
        got, wanted = network(x).numpy().reshape(1, 3), model(x).numpy()
    assert apart(got, wanted) < 2e-6
