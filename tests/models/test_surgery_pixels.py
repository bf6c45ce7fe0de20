"""Surgery: scores for every pixel, model files, and what is refused."""

import json
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest

from minifcn import functional as F
from minifcn import nn
from minifcn.data import Classes, Normalize
from minifcn.infer import Predictor
from minifcn.models import build
from minifcn.models.head import SurgeryError
from minifcn.models.surgery import convolutionize
from tests.models.operated import HEADS, image, rng, run, stirred, trunk


@pytest.mark.parametrize(("H", "W"), [(12, 20), (13, 21), (14, 11), (8, 9)])
def test_full_size_puts_every_score_where_it_belongs(H, W):
    """The mean of a window of a ramp is the ramp at its middle, and a mixture of two is between."""
    model = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.AvgPool2d(2), nn.AvgPool2d(2, 2),
                          nn.AdaptiveAvgPool2d(1), nn.Flatten())  # fmt: skip
    model[0].load_state_dict({"weight": np.eye(2, dtype=np.float32).reshape(2, 2, 1, 1)})
    network, _ = convolutionize(model, (H, W), full_size=True)
    x = np.stack(list(np.mgrid[:60, :70])).astype(np.float32)[None]  # row and column of each pixel
    got = run(network, x)
    assert network.stride == 4 and got.shape == x.shape
    inside = np.s_[:, :, H:-H, W:-W]
    assert np.abs(got - x)[inside].max() < 1e-4
    assert np.abs(got - x).max() > 1, "at the edge zeros are seen"


@pytest.mark.parametrize(("H", "W"), [(1, 1), (5, 40), (13, 12), (32, 33)])
def test_full_size_has_a_score_for_every_pixel(H, W):
    model = stirred(nn.Sequential(*trunk(), *HEADS["flatten, linear"]))
    network, _ = convolutionize(model, (13, 11), full_size=True)
    assert run(network, image(1, 3, H, W)).shape == (1, 3, H, W)


def test_full_size_looks_no_further_than_it_says():
    network, _ = convolutionize(
        stirred(nn.Sequential(*trunk(1), *HEADS["global mean"])), (14, 10), full_size=True
    )
    x, r = image(1, 3, 60, 60), network.radius
    changed = x.copy()
    changed[:, :, 30, 30] += 100
    places = np.argwhere(np.abs(run(network, changed) - run(network, x)).max((0, 1)) > 0)
    S = network.stride
    low, high = places.min(0), places.max(0)
    own = 30 // S * S  # the cell of the changed pixel
    assert (low >= own - r - S).all() and (high <= own + S + r + S).all()


class Fork(nn.Module):
    def __init__(self):
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        return self.fc((self.a(x) + self.b(x)).mean((2, 3)))


class Permuted(nn.Module):
    def __init__(self):
        self.a, self.fc = nn.Conv2d(3, 4, 1), nn.Linear(4 * 16, 2)

    def forward(self, x):
        return self.fc(F.flatten(self.a(x).permute(0, 2, 3, 1), 1))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Fork(), "b takes another tensor than the result of a: the network forks there"),
        (Permuted(), "the operator permute after a has no layer that does the same"),
        (nn.Sequential(nn.Conv2d(3, 4, 1)), "it keeps images as images"),
        (nn.Sequential(nn.Linear(4, 4)), "has no convolution"),
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten()), "no linear layer follows"),
        (
            nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(3), nn.Conv2d(4, 4, 3),
                          nn.Flatten(), nn.Linear(4, 2)),
            "behind 1, which pools to 3 x 3 cells, comes more than the head",
        ),
        (
            nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(3), nn.ReLU(), nn.Flatten(),
                          nn.Linear(36, 2)),
            "2 (ReLU) stands between a pooling with bins of different sizes",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(model, words):
    with pytest.raises(SurgeryError) as caught:
        convolutionize(model, 4)
    assert words in str(caught.value)


def test_the_mean_is_refused_where_it_would_not_be_the_logits():
    relu = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))  # fmt: skip
    none = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(64, 2))
    two = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 2))
    for model, words in ((relu, "4 (ReLU)"), (none, "no pooling"), (two, "2 x 2 cells")):
        with pytest.raises(SurgeryError, match=words.replace("(", r"\(").replace(")", r"\)")):
            convolutionize(model, 4, pooling="mean")


def test_names_of_the_network_itself_are_not_taken():
    layers = OrderedDict(grid=nn.Conv2d(3, 4, 1), flat=nn.Flatten(), fc=nn.Linear(64, 2))
    with pytest.raises(ValueError, match="a layer cannot be called 'grid'"):
        convolutionize(nn.Sequential(layers), 4)


MADE = {
    "a model of ours": lambda: build({"name": "resnet18", "width": 4, "classes": 3}),
    "somebody's layers": lambda: nn.Sequential(
        OrderedDict(body=nn.Sequential(*trunk(1)), flat=nn.Sequential(*HEADS["global mean"]))
    ),
}


@pytest.mark.parametrize("pooling", ["window", "mean"])
@pytest.mark.parametrize("made", MADE)
def test_a_network_is_built_again_from_its_config(made, pooling):
    model = stirred(MADE[made]())
    network, _ = convolutionize(model, (64, 40), pooling=pooling, full_size=True)
    again = build(json.loads(json.dumps(network.config)))
    again.load_state_dict(network.state_dict())
    x = image(1, 3, 80, 70)
    assert np.array_equal(run(again.eval(), x), run(network, x))


def test_a_network_is_kept_in_a_model_file_and_predicts(tmp_path):
    model = stirred(MADE["somebody's layers"]())
    network, _ = convolutionize(model, (14, 10), full_size=True)
    one = Predictor(network, Classes(("a", "b", "c")), Normalize())
    one.save(tmp_path / "where.safetensors")
    two = Predictor.load(tmp_path / "where.safetensors")
    photo = rng().integers(0, 256, (45, 61, 3), dtype=np.uint8)
    seen = likely(two, photo)
    assert np.array_equal(seen, likely(one, photo)) and np.ptp(seen) > 1e-3
    by_tiles = replace(two, memory_limit=1 << 14)
    vars(by_tiles)["bytes_per_pixel"] = 20.0  # so that all does not fit at once
    assert by_tiles.whole(photo) is None
    assert np.allclose(likely(by_tiles, photo), seen, atol=1e-6)


def likely(predictor, photo):
    found = predictor(photo, probability=True).probability
    assert found is not None
    return found


def test_a_network_of_a_class_of_its_own_has_no_config():
    network, _ = convolutionize(stirred(Fine()), 4)
    assert network.config["model"] is None


class Fine(nn.Module):
    def __init__(self):
        self.a, self.fc = nn.Conv2d(3, 4, 1), nn.Linear(4 * 16, 2)

    def forward(self, x):
        return self.fc(F.flatten(self.a(x), 1))
