"""FCN on VGG16: the two geometries of 32s, 16s and 8s, and what they have in common."""

from typing import Any

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn.models import build
from minifcn.models.fcn_vgg import FCNVGG16
from minifcn.models.transplanting import transplant
from minifcn.shapes import ShapeError

PUBLISHED = {0: (19,), 1: (5, 27), 2: (5, 9, 31)}  # `offset` of the Crop layers, authors' prototxt


def small(skips: int = 2, geometry: str = "2015", seed: int = 0, **options: Any) -> FCNVGG16:
    """A narrow net whose score layers are not zero, so that there is something to compare."""
    rng = np.random.default_rng(seed)
    given: dict[str, Any] = {"classes": 3, "width": 2, "hidden": 6, **options}
    net = FCNVGG16(skips=skips, geometry=geometry, generator=rng, **given).eval()
    for name, parameter in net.named_parameters():
        if name.startswith("score"):
            nn_values = rng.standard_normal(parameter.shape)
            with mf.no_grad():
                parameter.copy_(nn_values.astype(parameter.dtype))
    return net


def photo(H: int, W: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((1, 3, H, W)).astype(np.float32)


@pytest.mark.parametrize("skips", [0, 1, 2])
def test_the_crops_are_the_published_ones_and_none(skips):
    assert tuple(c for c, _ in small(skips).crops) == PUBLISHED[skips]
    assert all(top == left for top, left in small(skips).crops)
    assert small(skips, "zero").crops == ((0, 0),) * (skips + 1)


@pytest.mark.parametrize("skips", [0, 1, 2])
def test_both_geometries_agree_inside_for_an_image_moved_by_99_mod_32(skips):
    """x'[h] = x[h - 3] puts the pooling windows of the one where the other's lie."""
    old, new = small(skips).double(), small(skips, "zero").double()
    new.load_state_dict(old.state_dict())
    side = 2 * old.radius + 24
    x = photo(side, side).astype(np.float64)

    def zero(shift: int) -> Any:
        moved = np.zeros((1, 3, side + 32, side + 32))
        moved[:, :, shift : shift + side, shift : shift + side] = x
        y = new(mf.tensor(moved)).numpy()
        return y[:, :, shift : shift + side, shift : shift + side]

    with mf.no_grad():
        y = old(mf.tensor(x)).numpy()
        inside = (slice(None), slice(None), *(slice(old.radius, side - old.radius),) * 2)
        spread = np.abs(y[inside]).max()
        apart = [np.abs(zero(shift) - y)[inside].max() / spread for shift in (99 % 32, 0, 2, 4)]
    assert apart[0] < 1e-12
    assert min(apart[1:]) > 1e-4, "any other shift sees other pooling windows"


@pytest.mark.parametrize("geometry", ["2015", "zero"])
@pytest.mark.parametrize("H, W", [(1, 1), (5, 33), (31, 32), (64, 50)])
def test_any_image_size_gives_a_score_for_every_pixel(H, W, geometry):
    for skips in (0, 1, 2):
        with mf.no_grad():
            assert small(skips, geometry)(mf.tensor(photo(H, W))).shape == (1, 3, H, W)


@pytest.mark.parametrize("geometry", ["2015", "zero"])
def test_no_pixel_sees_beyond_the_radius(geometry):
    net = small(2, geometry).double()
    side = 2 * net.radius + 40
    x = np.random.default_rng(1).standard_normal((1, 3, side, 40))
    with mf.no_grad():
        before = net(mf.tensor(x)).numpy()
        x[:, :, side // 2] += 1
        changed = np.flatnonzero((net(mf.tensor(x)).numpy() != before).any(axis=(0, 1, 3)))
    assert side // 2 - net.radius <= changed.min() and changed.max() <= side // 2 + net.radius


def test_a_new_net_scores_nothing_until_it_has_learnt():
    rng = np.random.default_rng(0)
    net = FCNVGG16(classes=2, width=2, hidden=4, generator=rng)
    y = net(mf.tensor(photo(40, 33)))
    assert not y.numpy().any()
    F.cross_entropy(y, np.zeros((1, 40, 33), np.int64)).backward()
    bias: Any = net.score_fr.bias
    assert bias.grad.numpy().any(), "but it can learn"


@pytest.mark.parametrize("frozen", [True, False])
def test_the_upsampling_is_bilinear_and_frozen_or_not(frozen):
    net = small(2, frozen=frozen)
    ups = [net.upscore2, net.upscore_pool4, net.upscore8]  # type: ignore[attr-defined] # by name
    assert [up.kernel_size[0] for up in ups] == [4, 4, 16]
    assert {up.weight.requires_grad for up in ups} == {not frozen}
    row = ups[0].weight.numpy()[0, 0, 1]
    np.testing.assert_allclose(row, np.array([0.25, 0.75, 0.75, 0.25]) * 0.75)
    assert not ups[0].weight.numpy()[0, 1].any(), "classes do not mix"


def test_at_once_scales_the_finer_pools_and_nothing_else():
    plain, scaled = small(2), small(2, at_once=True)
    scaled.load_state_dict(plain.state_dict())
    with mf.no_grad():
        for score, by in ((plain.score_pool4, 0.01), (plain.score_pool3, 0.0001)):
            score.weight.copy_(score.weight.numpy() * by)
        x = mf.tensor(photo(70, 40))
        np.testing.assert_allclose(plain(x).numpy(), scaled(x).numpy(), rtol=1e-4, atol=1e-5)


def test_a_classifier_of_imagenet_gives_its_layers():
    net = small(0)
    rng = np.random.default_rng(4)
    state = {
        name: rng.standard_normal(t.shape).astype(np.float32)
        for name, t in net.state_dict().items()
        if name.startswith("features.")
    }
    shapes = {"classifier.0": (6, 16 * 49), "classifier.3": (6, 6), "classifier.6": (10, 6)}
    for name, shape in shapes.items():
        state[f"{name}.weight"] = rng.standard_normal(shape).astype(np.float32)
        state[f"{name}.bias"] = rng.standard_normal(shape[0]).astype(np.float32)
    report = transplant(state, net)
    did = {row.name: row.action for row in report.rows}
    assert did["classifier.0.weight"] == did["classifier.3.weight"] == "reshaped"
    assert did["classifier.6.weight"] == "dropped" and did["score_fr.weight"] == "left"
    assert sum(action in ("copied", "reshaped") for action in did.values()) == 2 * 15
    x = rng.standard_normal((1, 16, 7, 7)).astype(np.float32)  # what pool5 gives
    fc6 = state["classifier.0.weight"] @ x.reshape(-1) + state["classifier.0.bias"]
    with mf.no_grad():
        y = net.classifier[0](mf.tensor(x)).numpy().reshape(-1)
    np.testing.assert_allclose(y, fc6, rtol=1e-4, atol=1e-4)


def test_a_finer_net_begins_where_the_coarser_one_ended():
    """Its new score is zero, so 16s gives at first what 32s gives, enlarged in two steps."""
    coarse, fine = small(0), FCNVGG16(3, 1, width=2, hidden=6).eval()
    report = transplant(coarse, fine)
    assert [r.name for r in report.rows if r.action == "dropped"] == ["upscore.weight"]
    x = mf.tensor(photo(96, 64))
    with mf.no_grad():
        scores = [n.score_fr(n.classifier(n.features(x))).numpy() for n in (coarse, fine)]
        a, b = coarse(x).numpy(), fine(x).numpy()
    assert (scores[0] == scores[1]).all()
    assert np.abs(a - b).max() < np.abs(a).max() / 4


def test_it_is_built_again_from_its_config():
    net = small(1, "zero", at_once=True, frozen=False)
    again: Any = build(net.config).eval()
    again.load_state_dict(net.state_dict())
    x = mf.tensor(photo(33, 40))
    with mf.no_grad():
        assert (again(x).numpy() == net(x).numpy()).all() and again.config == net.config


@pytest.mark.parametrize(
    "options, words",
    [({"skips": 3}, "skips is 3"), ({"geometry": "2016"}, "geometry is '2016'"),
     ({"width": 0}, "width is 0")],
)  # fmt: skip
def test_wrong_arguments_are_named(options, words):
    with pytest.raises((ShapeError, ValueError), match=words):
        FCNVGG16(**options)


def test_the_names_are_those_of_torchvision_and_of_the_authors():
    names = {name.rpartition(".")[0] for name in small(2).state_dict()}
    convs = {f"features.{k}" for k in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)}
    ours = {"score_fr", "score_pool4", "score_pool3", "upscore2", "upscore_pool4", "upscore8"}
    assert names == convs | {"classifier.0", "classifier.3"} | ours
