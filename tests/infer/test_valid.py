"""A network without padding takes what lies around a photo from a mirror, whole and by tiles.

And models that a predictor cannot run or keep are refused before any work.
"""

from dataclasses import replace

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn
from minifcn.data import Classes, Normalize
from minifcn.infer import Predictor
from minifcn.models import build, convolutionize

NAMES = Classes(("nothing", "something"))


def unet(**options):
    config = {"name": "unet", "classes": 2, "width": 2, "depth": 3, "padding": "valid", **options}
    return build(config, np.random.default_rng(0)).eval()


def photo(H, W):
    return np.random.default_rng(H * W).integers(0, 256, (H, W, 3)).astype(np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (17, 3), (64, 80), (53, 91)])
@pytest.mark.parametrize("shrink", [1, 3])
def test_every_pixel_of_a_photo_gets_a_class(size, shrink):
    seen = Predictor(unet(), NAMES, Normalize(), shrink)(photo(*size), probability=True)
    assert seen.class_map.shape == size
    assert seen.probability is not None and np.isfinite(seen.probability).all()


@pytest.mark.parametrize("up", ["transpose", "resize"])
@pytest.mark.parametrize("planned", [False, True])
def test_what_is_far_from_the_border_is_what_the_network_says_alone(up, planned):
    net, picture = unet(up=up), photo(93, 78)
    normalize = Normalize()
    with mf.no_grad():
        alone = net(mf.tensor(normalize(picture)[None])).numpy()
    logits = Predictor(net, NAMES, normalize, planned=planned).logits(normalize(picture)[None])
    m, (h, w) = net.margin, alone.shape[2:]
    assert logits.shape == (1, 2, 93, 78)
    e = 8 if up == "resize" else 0  # resizing repeats the last cell at the end of what it has
    inner, there = (
        logits[:, :, m + e : m + h - e, m + e : m + w - e],
        alone[:, :, e : h - e, e : w - e],
    )
    np.testing.assert_allclose(inner, there, rtol=1e-4, atol=1e-5)
    # At the border it says what it says of the photo continued by its mirror image.
    around = np.pad(normalize(picture), ((0, 0), (m, m + 8), (m, m + 8)), mode="reflect")
    with mf.no_grad():
        there = net(mf.tensor(around[None])).numpy()[:, :, :93, :78]
    end = -e or None
    np.testing.assert_allclose(
        logits[:, :, :end, :end], there[:, :, :end, :end], rtol=1e-4, atol=1e-5
    )


def test_tiles_say_what_the_whole_says():
    predictor = Predictor(unet(), NAMES, Normalize())
    picture = photo(301, 417)
    need = predictor.bytes_per_pixel * 301 * 417
    tiled = replace(predictor, memory_limit=int(need / 3))
    assert predictor.whole(picture) is not None and tiled.whole(picture) is None
    assert (tiled(picture).class_map == predictor(picture).class_map).mean() > 0.999


def test_a_map_that_is_coarser_than_the_photo_is_refused_with_the_way_out():
    classifier = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.Flatten(), nn.Linear(4 * 25, 2))
    for full_size in (True, False):
        network, _ = convolutionize(classifier, 12, full_size=full_size)
        predictor = Predictor(network.eval(), NAMES, Normalize())
        if full_size:
            assert predictor(photo(20, 30)).class_map.shape == (20, 30)
        else:
            with pytest.raises(TypeError, match="squares of 2 pixels.*full_size=True"):
                predictor(photo(20, 30))


class Mine(nn.Module):
    """A classifier of somebody's own, which says nothing of how to make it again."""

    def __init__(self):
        self.conv = nn.Conv2d(3, 4, 3)
        self.flatten = nn.Flatten()
        self.last = nn.Linear(4 * 64, 2)

    def forward(self, x):
        return self.last(self.flatten(self.conv(x).relu()))


def test_a_model_that_cannot_be_made_again_is_not_saved(tmp_path):
    network, _ = convolutionize(Mine(), 10, full_size=True)
    for model in (network.eval(), Mine()):
        with pytest.raises(TypeError, match="config"):
            Predictor(model, NAMES, Normalize()).save(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())
