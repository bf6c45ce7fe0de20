"""A predictor on the device "cuda" sees what it sees on the cpu, whole, by tiles and shrunk."""

from dataclasses import replace
from math import ceil

import numpy as np
import pytest

from minifcn.data import Classes, Normalize
from minifcn.infer import Predictor
from minifcn.models import FCN, SmallEncoder

pytestmark = pytest.mark.parametrize("device", ["cuda"])

CLASSES = Classes(("sky", "road", "tree"))


def predictor(shrink=1, seed=0, **changes):
    """Random weights large enough that every class wins somewhere."""
    rng = np.random.default_rng(seed)
    model = FCN(SmallEncoder(width=4, depth=2), classes=3)
    for parameter in model.parameters():
        parameter.data[...] = rng.standard_normal(parameter.shape) * 0.3
    model.eval()
    return Predictor(model, CLASSES, Normalize((0.5,) * 3, (0.25,) * 3), shrink, **changes)


def photo(H, W, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (H, W, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "shrink, H, W, pixels", [(1, 33, 20, 10**6), (2, 31, 45, 10**6), (1, 40, 33, 600)]
)
def test_a_photo_is_seen_as_on_the_cpu(device, tmp_path, shrink, H, W, pixels):
    here = predictor(shrink)
    here.save(tmp_path / "model.safetensors")
    there = Predictor.load(tmp_path, device)
    here, there = (replace(p, memory_limit=ceil(pixels * p.bytes_per_pixel)) for p in (here, there))
    assert there.device == device and here.device == "cpu"
    x = photo(H, W)
    logits = here.logits(here.normalize(x)[None])
    np.testing.assert_allclose(there.logits(here.normalize(x)[None]), logits, rtol=1e-4, atol=1e-4)
    seen, expected = there(x, probability=True), here(x, probability=True)
    least, best = np.sort(logits[0], axis=0)[-2:]
    sure = best - least > 1e-4 * np.abs(logits).max()
    assert sure.mean() > 0.95 and len(np.unique(seen.class_map)) > 1
    np.testing.assert_array_equal(seen.class_map[sure], expected.class_map[sure])
    assert seen.probability is not None and expected.probability is not None
    np.testing.assert_allclose(seen.probability, expected.probability, rtol=1e-3)
    assert isinstance(seen.class_map, np.ndarray) and seen.class_map.dtype == np.uint8


def test_nan_logits_are_refused(device):
    there = predictor()
    next(iter(there.model.parameters())).data[...] = np.nan
    there.model.to(device)
    with pytest.raises(ValueError, match="forward returned NaN logits"):
        there(photo(16, 16))


def test_memory_is_that_of_the_device(device):
    there = predictor()
    there.model.to(device)
    assert there.bytes_per_pixel > 0
