"""SqueezeNet 1.1 with its real weights: others' reference outputs, and where the hot dog is."""

import json

import numpy as np
import pytest

import minifcn as mf
from minifcn.images import read_image, resize_image
from minifcn.infer import Locator
from minifcn.interop import open_model
from tests.shared_data import shared_data

HOT_DOG = 934


@pytest.fixture(scope="module")
def opened():
    return open_model(shared_data("squeezenet_v1_1") / "squeezenet_v1_1.safetensors")


def test_reference_logits_and_maps_are_reproduced(opened):
    reference = np.load(shared_data("squeezenet_v1_1") / "reference_logits.npz")
    best = json.loads((shared_data("squeezenet_v1_1") / "reference_top5.json").read_text())
    crops = sorted(shared_data("demo_photos").glob("*_crop224.png"))
    assert len(crops) == len(best) == 10
    for path in crops:
        name = path.stem.removesuffix("_crop224")
        x = mf.tensor(opened.normalize(read_image(path))[None])
        with mf.no_grad():
            logits, class_map = (f(x).numpy()[0] for f in (opened.model, opened.model.class_map))
        np.testing.assert_allclose(logits, reference[name], atol=1e-3)
        hot_dog = reference[f"{name}_hotdogmap"]
        np.testing.assert_allclose(class_map[HOT_DOG], hot_dog, atol=1e-3)
        odds = np.exp(logits - logits.max())
        top = np.argsort(-logits, kind="stable")[:5]
        assert top.tolist() == [k for k, _, _ in best[name]["top5"]]
        likely = [share for _, _, share in best[name]["top5"]]
        np.testing.assert_allclose(odds[top] / odds.sum(), likely, atol=2e-4)


def square(photo, side=224):
    """The square in the middle of a photo."""
    H, W, _ = photo.shape
    S = min(H, W)
    top, left = (H - S) // 2, (W - S) // 2
    return resize_image(photo[top : top + S, left : left + S], (side, side))


def test_the_hot_dog_is_found_among_five_other_dishes(opened):
    folder = shared_data("hotdog")
    plan = json.loads((folder / "mosaics_val.json").read_text())
    rows, cols, tile = plan["rows"], plan["cols"], plan["tile"]
    locator = Locator(opened.model, opened.classes.names, opened.normalize, side=None)
    right = 0
    for mosaic in plan["mosaics"]:
        tiles = [square(read_image(folder / "val" / path)) for path in mosaic["tiles"]]
        picture = np.concatenate(
            [np.concatenate(tiles[row * cols : (row + 1) * cols], axis=1) for row in range(rows)]
        )
        x, y = locator(picture, [HOT_DOG]).spots[0].peak
        right += y // tile * cols + x // tile == mosaic["hotdog"]
    assert len(plan["mosaics"]) == 60 and right >= 37


@pytest.mark.parametrize("side", [256, 384])
def test_bananas_lie_on_the_bananas(opened, side):
    photo = read_image(shared_data("demo_photos") / "coco_000000006012.jpg")
    locator = Locator(opened.model, opened.classes.names, opened.normalize, side=side)
    seen = locator(photo, [opened.known.index("banana"), opened.known.index("pomegranate")])
    banana, pomegranate = seen.spots
    # what is yellow and saturated in the photo is banana: an oracle that knows no network
    r, g, b = (photo[..., k].astype(int) for k in range(3))
    yellow = (r > 170) & (g > 140) & (b < 90)
    assert yellow.mean() > 0.1
    assert banana.heat[yellow].mean() > banana.heat[~yellow].mean() + 0.2
    assert banana.score > 0.99
    (x, y), H, W = pomegranate.peak, *photo.shape[:2]
    assert 0.35 < x / W < 0.65 and y / H > 0.4, "the round red thing in the middle, below"
