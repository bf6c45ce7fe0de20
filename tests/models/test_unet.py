"""U-Net: any size with "same"; the published geometry with "valid", its crops derived."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifcn as mf
import minifcn.functional as F
from minifcn.models import build
from minifcn.models.unet import Resized, UNet
from minifcn.shapes import ShapeError


def small(depth=3, width=2, seed=0, **options):
    return UNet(3, width, depth, generator=np.random.default_rng(seed), **options).eval()


def photo(H, W, N=1, C=3, seed=0):
    return np.random.default_rng(seed).standard_normal((N, C, H, W)).astype(np.float32)


def run(net, x):
    with mf.no_grad():
        return net(mf.tensor(x)).numpy()


@settings(max_examples=15)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 5),
    st.sampled_from(["transpose", "resize"]),
)
def test_any_image_size_gives_a_class_for_every_pixel(H, W, depth, up):
    assert run(small(depth, 1, up=up), photo(H, W)).shape == (1, 3, H, W)


def test_the_geometry_of_the_paper():
    """Figure 1: 572 -> 388; 64, 136, 280 and 568 cut to 56, 104, 200 and 392."""
    net = UNet(2, width=1, in_channels=1, padding="valid")
    assert run(net.eval(), photo(572, 572, C=1)).shape == (1, 2, 388, 388)
    wanted = tuple((a - b) // 2 for a, b in ((568, 392), (280, 200), (136, 104), (64, 56)))
    assert net.crops == wanted and net.margin == (572 - 388) // 2


def test_the_channels_of_the_paper():
    net = UNet(2, in_channels=1, padding="valid")
    assert [net.down[k][1].out_channels for k in range(5)] == [64, 128, 256, 512, 1024]
    assert [net.joins[k][0].in_channels for k in range(4)] == [1024, 512, 256, 128]

    def steps(a, b):
        return 9 * a * b + b + 9 * b * b + b

    wanted = sum(steps(a, b) for a, b in ((1, 64), (64, 128), (128, 256), (256, 512), (512, 1024)))
    wanted += sum(4 * 2 * c * c + c + steps(2 * c, c) for c in (512, 256, 128, 64)) + 64 * 2 + 2
    assert sum(p.numel() for p in net.parameters()) == wanted


@settings(max_examples=15)
@given(st.integers(1, 4), st.integers(0, 21), st.integers(0, 21))
def test_valid_says_how_much_is_left_or_that_the_image_is_too_small(depth, H, W):
    net = small(depth, 1, padding="valid")
    least = next(n for n in range(1, 200) if net.output_size(n) > 0)
    y = run(net, photo(least + H, least + W))
    assert y.shape[2:] == (net.output_size(least + H), net.output_size(least + W))
    with pytest.raises(ShapeError, match=rf"axis 3 \(W\) of x is {least - 1}, .* least {least} "):
        run(net, photo(least, least - 1))


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_same_and_valid_agree_in_the_middle(depth):
    """Where no padding is seen, both compute the same: what crops are for.

    Valid cells of level k start at pixel 2 (2^(k+1) - 1), those of "same" at multiples of 2^k: two
    pixels more at top and left bring them together on every level.
    """
    valid, same = small(depth, padding="valid"), small(depth)
    same.load_state_dict(valid.state_dict())
    side = 2 * valid.margin + 2**depth + 2
    while valid.output_size(side - 2) < 1:
        side += 1
    x = photo(side, side + 3)
    there, here, m = run(valid, x[:, :, 2:, 2:])[0], run(same, x)[0], valid.margin + 2
    h, w = there.shape[1:]
    np.testing.assert_allclose(there, here[:, m : m + h, m : m + w], atol=2e-5)


def test_moving_the_image_by_the_stride_moves_the_logits():
    for options in ({}, {"up": "resize"}, {"norm": True}):
        net = small(**options)
        x, R, s = photo(8, 160), net.radius, net.stride
        here, there = run(net, x[..., :-s]), run(net, x[..., s:])
        np.testing.assert_allclose(
            here[..., R + s : -R], there[..., R : -R - s], atol=1e-5, err_msg=str(options)
        )


@pytest.mark.parametrize("up", ["transpose", "resize"])
@pytest.mark.parametrize("depth", [1, 3])
def test_nothing_beyond_the_radius_is_seen(up, depth):
    net = small(depth, 4, up=up)
    R, s = net.radius, net.stride
    W = s * (2 * R // s + 6)
    x, far = photo(s, W), 0
    for column in range(W // 2, W // 2 + s):
        other = x.copy()
        other[..., column] += 10
        moved = np.flatnonzero((run(net, x) != run(net, other)).any((0, 1, 2)))
        first, last = moved // s * s, moved // s * s + s - 1  # the cells
        beyond = np.where(moved < column, column - last, first - column)
        far = max(far, beyond.max())
    assert R - 2 * s < far <= R  # and the radius is no idle bound


def test_resizing_and_the_convolution_may_change_places():
    part, x = Resized(4, 2, np.random.default_rng(0)), mf.tensor(photo(5, 6, C=4))
    with mf.no_grad():
        large = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        wanted = part.conv(large).numpy()
    np.testing.assert_allclose(run(part, x.numpy()), wanted, atol=1e-5)


def test_a_description_makes_it_again():
    net = UNet(4, 3, 2, "valid", "resize", True, 1)
    again: Any = build(net.config)
    assert again.config == net.config
    assert {k: v.shape for k, v in again.state_dict().items()} == {
        k: v.shape for k, v in net.state_dict().items()
    }
    assert any("running_mean" in name for name in net.state_dict())


@pytest.mark.parametrize(
    "options, words",
    [
        ({"padding": "full"}, "padding is 'full', expected one of 'same', 'valid'"),
        ({"up": "magic"}, "up is 'magic', expected one of 'transpose', 'resize'"),
        ({"depth": 0}, "depth is 0, expected at least 1"),
        ({"width": 0}, "width is 0, expected at least 1"),
    ],
)
def test_wrong_arguments(options, words):
    with pytest.raises(ValueError, match=f"UNet: {words}"):
        UNet(2, **options)


def test_it_trains(device):
    net = small(depth=2, norm=True).to(device).train()
    x = mf.tensor(photo(7, 9, N=2)).to(device)
    target = F.argmax(x, 1)
    optimizer = mf.optim.SGD(list(net.parameters()), lr=0.5)
    losses = []
    for _ in range(10):
        loss = F.cross_entropy(net(x), target)
        net.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.item()))
    assert losses[-1] < 0.8 * losses[0]
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("up", ["transpose", "resize"])
def test_devices_agree(padding, up, device):
    net, x = small(2, 2, padding=padding, up=up), photo(23, 22)
    wanted = run(net, x)
    with mf.no_grad():
        y = net.to(device)(mf.tensor(x).to(device)).cpu().numpy()
    np.testing.assert_allclose(y, wanted, atol=1e-4)
