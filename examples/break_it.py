"""Break backpropagation, one classic bug at a time, and see which check notices.

    python examples/break_it.py

Every bug below is one that people have really made. It is planted in the running engine, six checks
are run, and it is taken out again. No check finds all of them; that is why there are six:

    conv      finite differences of conv2d alone: what most projects test
    first     finite differences of every operator
    second    finite differences of every gradient
    identity  <conv(x, w), g> = <x, conv_t(g, w)> = <w, conv_w(x, g)>
    loops     the formula as plain loops
    reuse     a tensor used twice: d(x x + x)/dx = 2x + 1

If unfold and fold share a bug, forward and backward agree: every derivative is right, of the wrong
function, and only the loops see it. If a gradient has the right value but no history, only the
second order does. If a loss divides by the wrong count, no gradient check can know.
"""

import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from unittest import mock

import numpy as np

import minifcn as mf
import minifcn.functional as F
from minifcn import GradientError, Tensor, Window, graph
from minifcn.functional.broadcast import BroadcastTo
from minifcn.functional.conv import Conv2d, Conv2dWeight, ConvTranspose2d
from minifcn.kernels import numpy_kernels as kernels
from minifcn.kernels import reference

rng = np.random.default_rng(1)

# One geometry with everything: stride, dilation, lopsided padding, a stride remainder, H != W.
OPTIONS: Any = {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (2, 1)}
WINDOW = Window.for_conv("break_it", (7, 4), (2, 3), *OPTIONS.values())
X, W = rng.standard_normal((2, 2, 7, 4)), rng.standard_normal((3, 2, 2, 3))  # N C H W, O C KH KW
G = rng.standard_normal((2, 3, *WINDOW.out))  # N O P Q
LOGITS, TARGET = rng.standard_normal((2, 3, 4)), np.array([[0, 2, 255, 1], [1, 255, 1, 0]])


# ---- a convolution small enough to break ---------------------------------------------------------


def taps(window: Window, dilation: Any) -> Iterator[tuple[slice, slice]]:
    """The rows and columns of the padded image that each tap meets."""
    (sh, sw), (dh, dw), (P, Q) = window.stride, dilation or window.dilation, window.out
    for u, v in window.taps():
        yield (
            slice(u * dh, u * dh + sh * (P - 1) + 1, sh),
            slice(v * dw, v * dw + sw * (Q - 1) + 1, sw),
        )


def canvas(N: int, C: int, window: Window) -> Any:
    """Zeros for the padded image, with a little room to be wrong in."""
    (H, W), near, far = window.image, window.pad, window.far_pad
    return np.zeros((N, C, near[0] + H + max(far[0], 1), near[1] + W + max(far[1], 1)))


def unfold(x: Any, window: Window, dilation: Any = None, near: bool = True) -> Any:
    """x: N C H W -> one slice per tap: K N C P Q."""
    (top, left), (H, W) = window.pad if near else (0, 0), window.image
    padded = canvas(x.shape[0], x.shape[1], window)
    padded[:, :, top : top + H, left : left + W] = x
    return np.stack([padded[(..., *tap)] for tap in taps(window, dilation)])


def fold(col: Any, window: Window, dilation: Any = None, writes: bool = False, off: int = 0) -> Any:
    """The adjoint: what every tap read is added back where it was read."""
    (top, left), (H, W) = window.pad, window.image
    padded = canvas(col.shape[1], col.shape[2], window)
    for part, tap in zip(col, taps(window, dilation), strict=True):
        padded[(..., *tap)] = part if writes else padded[(..., *tap)] + part
    return padded[:, :, top + off : top + off + H, left : left + W]


def conv(x: Any, w: Any, window: Window, **bug: Any) -> Any:
    return np.einsum("ock,kncij->noij", w.reshape(*w.shape[:2], -1), unfold(x, window, **bug))


def conv_t(g: Any, w: Any, window: Window, **bug: Any) -> Any:
    return fold(np.einsum("ock,noij->kncij", w.reshape(*w.shape[:2], -1), g), window, **bug)


def conv_w(x: Any, g: Any, window: Window, **bug: Any) -> Any:
    w = np.einsum("noij,kncij->ock", g, unfold(x, window, **bug))
    return w.reshape(*w.shape[:2], *window.kernel)


# ---- the bugs: what to replace, and by what ------------------------------------------------------


def outside_the_graph(self: Any, gy: Tensor, x: Tensor, w: Tensor) -> Any:
    gx = Tensor(
        kernels.conv_transpose2d(gy.data, w.data, self.window)
    )  # the value, not the history
    return gx, Conv2dWeight(self.window)(x, gy)


def transpose_forgets_gx(self: Any, gx: Tensor, g: Tensor, w: Tensor) -> Any:
    y = ConvTranspose2d(self.window)(g, w)
    return Conv2d(self.window)(gx, w), Conv2dWeight(self.window)(y, g)  # y for gx


def weight_forgets_gw(self: Any, gw: Tensor, x: Tensor, g: Tensor) -> Any:
    y = Conv2dWeight(self.window)(x, g)
    return ConvTranspose2d(self.window)(g, y), Conv2d(self.window)(x, gw)  # y for gw


def without_means(gy: Any, x: Any, weight: Any, mean: Any, var: Any, *rest: Any) -> Any:
    gw, gb, eps, M = rest
    column = (1, -1, *(1,) * (x.ndim - 2))
    return gy * (weight / np.sqrt(var + eps)).reshape(column)


def overwrite(flowing: dict[Any, Tensor], node: Any, g: Tensor) -> None:
    flowing[node] = g


def count_all(loss: Any, target: Any, weight: Any, ignore_index: int) -> Any:
    total = np.array(float(target.size))
    return np.array(loss.sum() / total), total


def bug(function: Callable[..., Any], **switch: Any) -> Callable[..., Any]:
    return lambda *arguments: function(*arguments, **switch)


near, forget, late = {"near": False}, {"dilation": (1, 1)}, {"off": 1}
Plant = tuple[Any, str, Callable[..., Any]]

# fmt: off
BUGS: dict[str, list[Plant]] = {
    "fold writes = for +=":              [(kernels, "conv_transpose2d", bug(conv_t, writes=True))],
    "fold forgets the dilation":         [(kernels, "conv_transpose2d", bug(conv_t, **forget))],
    "fold crops off by one":             [(kernels, "conv_transpose2d", bug(conv_t, **late))],
    "unfold pads at the end only":       [(kernels, "conv2d", bug(conv, **near)),
                                          (kernels, "conv2d_weight", bug(conv_w, **near))],
    "unfold and fold forget dilation":   [(kernels, "conv2d", bug(conv, **forget)),
                                          (kernels, "conv2d_weight", bug(conv_w, **forget)),
                                          (kernels, "conv_transpose2d", bug(conv_t, **forget))],
    "gw is a mean over the batch":       [(kernels, "conv2d_weight",
                                           lambda x, g, window: conv_w(x, g, window) / len(x))],
    "gx is made outside the graph":      [(Conv2d, "vjp", outside_the_graph)],
    "conv_t's vjp uses y for gy":        [(ConvTranspose2d, "vjp", transpose_forgets_gx)],
    "conv_w's vjp uses y for gy":        [(Conv2dWeight, "vjp", weight_forgets_gw)],
    "relu's mask is y >= 0":             [(kernels, "relu_grad", lambda gy, y: gy * (y >= 0))],
    "a broadcast is not summed back":    [(BroadcastTo, "vjp", lambda self, gy: (gy,))],
    "a second gradient overwrites":      [(graph, "_add", overwrite)],
    "batch norm's means are constants":  [(kernels, "batch_norm_grad", without_means)],
    "the loss counts ignored pixels":    [(kernels, "label_mean", count_all)],
}
# fmt: on


# ---- the checks: each returns its complaint, or nothing ------------------------------------------

PROBLEMS: dict[str, tuple[Callable[..., Tensor], list[Any]]] = {
    "conv2d": (lambda x, w: F.conv2d(x, w, **OPTIONS), [X, W]),
    "conv_transpose2d": (lambda g, w: F.conv_transpose2d(g, w, **OPTIONS), [G, W]),
    "conv2d_weight": (lambda x, g: F.conv2d_weight(x, g, (2, 3), **OPTIONS), [X, G]),
    "relu": (F.relu, [X]),
    "bias": (lambda x, b: x * b, [X, rng.standard_normal((2, 1, 1))]),
    "batch_norm": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
        [X, W[0, :, 0, 0], X[0, :, 0, 0]],
    ),
    "cross_entropy": (lambda x: F.cross_entropy(x, TARGET, ignore_index=255), [LOGITS]),
}


def complaint(order: int, *names: str) -> str:
    """The first verdict of gradcheck; of the second order only where the first is right."""
    for name in names:
        fn, inputs = PROBLEMS[name]
        try:
            mf.gradcheck(fn, inputs, order=order, mode="fast")
        except GradientError as error:
            if error.order == order:
                return f"{name}: {error.verdict}"
    return ""


def identity() -> str:
    """Three numbers that are one:  T(x, w, g)."""
    x, w, g = map(Tensor, (X, W, G))
    forward = np.vdot(F.conv2d(x, w, **OPTIONS).data, G)
    back = np.vdot(F.conv_transpose2d(g, w, output_size=(7, 4), **OPTIONS).data, X)
    weight = np.vdot(F.conv2d_weight(x, g, (2, 3), **OPTIONS).data, W)
    return (
        "" if np.allclose([back, weight], forward) else f"{forward:.3f}, {back:.3f}, {weight:.3f}"
    )


def loops() -> str:
    """Each forward pass, written as one writes it down."""
    got = F.conv2d(Tensor(X), Tensor(W), **OPTIONS).data
    if not np.allclose(got, reference.conv2d(X, W, WINDOW)):
        return "conv2d is not its sum"
    total, count = 0.0, 0
    for n, i in np.ndindex(*TARGET.shape):
        if TARGET[n, i] != 255:
            total += np.log(np.exp(LOGITS[n, :, i]).sum()) - LOGITS[n, TARGET[n, i], i]
            count += 1
    loss = F.cross_entropy(Tensor(LOGITS), Tensor(TARGET), ignore_index=255).item()
    return "" if np.isclose(loss, total / count) else "cross_entropy is not its mean"


def reuse() -> str:
    x = mf.tensor(np.array([3.0]), requires_grad=True)
    (g,) = mf.grad(x * x + x, x)
    return "" if g.item() == 7 else f"d(x x + x)/dx = {g.item()} at 3, expected 7"


CHECKS: dict[str, Callable[[], str]] = {
    "conv": lambda: complaint(1, "conv2d"),
    "first": lambda: complaint(1, *PROBLEMS),
    "second": lambda: complaint(2, *PROBLEMS),
    "identity": identity,
    "loops": loops,
    "reuse": reuse,
}


def examine(plants: list[Plant]) -> dict[str, str]:
    """What every check says with these bugs planted."""
    with ExitStack() as planted:
        for owner, name, replacement in plants:
            planted.enter_context(mock.patch.object(owner, name, replacement))
        return {name: check() for name, check in CHECKS.items()}


def main() -> int:
    """Print which check catches which bug; 1 if one escapes, or if the sound engine is accused."""
    print(f"{'':33}" + "".join(f"{name:^10}" for name in CHECKS) + "gradcheck says")
    failed = False
    for name, plants in {"nothing planted": [], **BUGS}.items():
        said = examine(plants)
        marks = "".join(f"{'x' if words else '.':^10}" for words in said.values())
        verdict = textwrap.shorten(said["first"] or said["second"], 64, placeholder=" ...")
        print(f"{name:33}{marks}{verdict}")
        failed |= any(said.values()) == (not plants)
    print("\nsomething is wrong" if failed else f"\nall {len(BUGS)} bugs are caught")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
