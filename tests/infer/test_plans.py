"""A planned predictor sees what it sees without; its plans come, go, and follow the weights."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn import nn
from minifcn.data import Classes, Normalize
from minifcn.infer import Predictor
from minifcn.infer.plan import Plan, Plans
from minifcn.infer.plan.plans import KEEP
from minifcn.models import build

CLASSES = Classes(("sky", "road", "tree", "nothing"), void=3)


def planned(shrink=1, **changes):
    """Two like predictors: the second one plans."""
    rng = np.random.default_rng(0)
    encoder = {"name": "small", "width": 4, "depth": 3}
    model = build({"name": "fcn", "encoder": encoder, "classes": 4})
    for parameter in model.parameters():
        parameter.data[...] = rng.standard_normal(parameter.shape) * 0.3
    made = Predictor(model.eval(), CLASSES, Normalize((0.5,) * 3, (0.25,) * 3), shrink, **changes)
    return made, replace(made, planned=True)


def photo(H, W, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (H, W, 3), dtype=np.uint8)


def same_to_the_eye(one, other, x):
    """The same class wherever one is clearly the most likely."""
    logits = one.logits(one.normalize(x)[None])[0, :3]
    _, second, best = np.sort(logits, axis=0)
    sure = best - second > 1e-4 * np.abs(logits).max()
    assert sure.mean() > 0.98
    np.testing.assert_array_equal(other(x).class_map[sure], one(x).class_map[sure])


def made(plans):
    return [size for size, plan in plans.plans.items() if isinstance(plan, Plan)]


@pytest.mark.parametrize("shrink", [1, 2, 3])
def test_photo_after_photo(shrink):
    plain, plan = planned(shrink)
    for seed in range(4):
        same_to_the_eye(plain, plan, photo(31, 43, seed))
        assert len(made(plan._plans)) == (seed > 0)


def test_tiles_are_planned_too():
    plain, plan = planned()
    limit = int(200 * 200 * plan.bytes_per_pixel)
    plan = replace(plan, memory_limit=limit)
    x = photo(100, 1600)
    same_to_the_eye(plain, plan, x)
    assert made(plan._plans)  # the tiles in the middle are of one size


def test_what_was_given_away_stays():
    _, plan = planned()
    x, other = photo(24, 32), photo(24, 32, 1)
    for see in (lambda p: plan.logits(plan.normalize(p)[None]), plan.whole):
        for _ in range(3):
            first = see(x)
        kept = first.copy()
        assert not np.array_equal(see(other), kept)
        np.testing.assert_array_equal(first, kept)


def test_written_weights_are_seen():
    plain, plan = planned()
    x = photo(24, 32)
    before = [plan.logits(plan.normalize(x)[None]) for _ in range(3)][-1]
    with mf.no_grad():
        for parameter in plain.model.parameters():
            parameter.copy_(parameter * 0.5)
    for _ in range(3):
        after = plan.logits(plan.normalize(x)[None])
        np.testing.assert_allclose(after, plain.logits(plain.normalize(x)[None]), atol=1e-4)
    assert not np.allclose(before, after, atol=1e-2)


def test_threads_have_plans_of_their_own():
    plain, plan = planned()
    photos = [photo(32, 40, seed) for seed in range(12)]
    wanted = [plain.logits(plain.normalize(x)[None]) for x in photos]
    with ThreadPoolExecutor(3) as pool:
        got = list(pool.map(lambda x: plan.logits(plan.normalize(x)[None]), photos * 3))
    for y, want in zip(got, wanted * 3, strict=True):
        np.testing.assert_allclose(y, want, atol=1e-4 * np.abs(want).max())


def test_few_sizes_are_kept_and_batches_are_not_planned():
    net = nn.Conv2d(3, 2, 3).eval()
    plans = Plans(net, net)
    for size in range(4, 8 + KEEP):
        for _ in range(3):
            x = np.ones((1, 3, size, 5), np.float32)
            np.testing.assert_allclose(plans(x), net(mf.tensor(x)).numpy(), atol=1e-5)
    assert [size[1] for size in made(plans)] == list(range(8, 8 + KEEP))
    for _ in range(3):
        assert plans(np.ones((2, 3, 9, 9), np.float32)).shape == (2, 2, 7, 7)
    assert (3, 9, 9) not in plans.plans


def test_plans_keep_to_their_memory():
    net = nn.Conv2d(3, 8, 3, padding=1).eval()
    one = Plans(net, net).bytes_of((3, 64, 64))
    assert 64 * 64 * (3 + 8 + 3) * 4 < one < 64 * 64 * (3 + 8 + 4 + 27) * 4
    plans = Plans(net, net, memory=2 * one)
    for size in (64, 63, 62, 61):
        for _ in range(2):
            plans(np.ones((1, 3, size, 64), np.float32))
        assert plans.nbytes <= 2 * one
    assert len(made(plans)) == 2
    _, plan = planned()
    assert plan.bytes_per_pixel * 192**2 >= plan._plans.bytes_of((3, 192, 192))


class Moody(nn.Module):
    """Decides by what it sees."""

    def __init__(self):
        self.calls = 0
        self.weight = nn.Parameter(np.ones(1, np.float32))

    def forward(self, x):
        self.calls += 1
        return x * 2 if float(x.numpy()[0, 0, 0, 0]) > 0 else F.relu(x)


def test_what_cannot_be_planned_goes_on_by_itself():
    net = Moody().eval()
    plans = Plans(net, net)
    for value in (1, -1, 1, -1, -1):
        x = np.full((1, 1, 6, 6), value, np.float32)
        np.testing.assert_array_equal(plans(x), np.maximum(2 * x, 0))
    before = net.calls
    plans(x)
    assert net.calls == before + 1  # no second try


def test_a_gpu_needs_no_plan(cuda):
    plain, plan = planned()
    x = photo(20, 24)
    wanted = plain(x).class_map
    plan.model.to("cuda")
    for _ in range(3):
        assert (plan(x).class_map == wanted).mean() > 0.99
    assert not made(plan._plans)
