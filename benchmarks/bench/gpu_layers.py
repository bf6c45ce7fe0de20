"""gpu_layers: the convolutions of nets B and C, each direction, against cuDNN and the floor.

The floor is the larger of two times: the multiply-adds over the measured rate of a matrix product
in that precision, and the bytes, each array once, over the measured bandwidth of a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import gpu_nets
from .gpu_clock import DisagreementError, Ours, Theirs, take
from .layers import DIRECTIONS, Layer
from .machine import missing

PRECISIONS = ("float32", "tf32", "float16", "bfloat16")
TARGET = {"float32": 1.5, "tf32": 1.5, "float16": 2.0, "bfloat16": 2.0}
# |y - y64| / |y64| that a precision may be off by, with margin for the longest sums
CLOSE = {"float32": 2e-6, "tf32": 1e-3, "float16": 2e-3, "bfloat16": 1e-2}
BYTES = {"float32": 4, "tf32": 4, "float16": 2, "bfloat16": 2}


def layers(small: bool) -> list[Layer]:
    """Every different 3x3 convolution of B and C."""
    found: dict[str, Layer] = {}
    for net in (gpu_nets.B, gpu_nets.C):
        for C, O, S in net.rows:
            layer = Layer(f"{net.name} {C} to {O} at {S}", C, O, (S, S), N=net.batch)
            found[layer.name] = replace(layer, C=4, O=6, size=(6, 8), N=2) if small else layer
    return list(found.values())


@lru_cache(maxsize=1)
def arrays(layer: Layer) -> tuple[NDArray[Any], ...]:
    """x, w, g; drawn once for all precisions and sides."""
    return layer.arrays()


def dtype_of(precision: str) -> str:
    return "float32" if precision == "tf32" else precision


@contextmanager
def minifcn_precision(precision: str) -> Iterator[None]:
    """TF32 on for "tf32", off else."""
    import minifcn as mf

    before = mf.get_float32_matmul_precision()
    mf.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        mf.set_float32_matmul_precision(before)


def minifcn_calls(layer: Layer, precision: str) -> dict[str, Callable[[], Any]]:
    """The three directions; the arrays lie as they do inside a network."""
    import minifcn as mf
    import minifcn.functional as F

    x, w, g = (mf.tensor(a).to("cuda").astype(dtype_of(precision)).clone() for a in arrays(layer))
    how: dict[str, Any] = {"stride": layer.stride, "padding": layer.padding}
    return {
        "forward": lambda: F.conv2d(x, w, **how),
        "image": lambda: F.conv_transpose2d(g, w, **how, output_size=layer.size),
        "weight": lambda: F.conv2d_weight(x, g, layer.kernel, **how),
    }


def torch_calls(layer: Layer, precision: str, channels_last: bool) -> dict[str, Callable[[], Any]]:
    """The same by cuDNN."""
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    dtype = getattr(torch, dtype_of(precision))
    x, w, g = (
        torch.tensor(a, device="cuda").to(dtype=dtype, memory_format=layout) for a in arrays(layer)
    )
    two = [[n, n] for n in (layer.stride, layer.padding, layer.dilation)]
    rest = (*two, False, [0, 0], layer.groups)

    def backward(which: int) -> Any:
        mask = [k == which for k in range(3)]
        return torch.ops.aten.convolution_backward(g, x, w, None, *rest, mask)[which]

    return {
        "forward": lambda: torch.ops.aten.convolution(x, w, None, *rest),
        "image": lambda: backward(0),
        "weight": lambda: backward(1),
    }


def floors(layer: Layer, precision: str, rate: float, bandwidth: float) -> float:
    """Milliseconds that no kernel can beat: arithmetic at `rate` FLOP/s, bytes at `bandwidth`."""
    (N, C, H, W), (O, *_), (_, _, P, Q) = layer.shapes
    flops = 2 * N * P * Q * O * C // layer.groups * layer.kernel**2
    numbers = N * C * H * W + N * O * P * Q + O * C // layer.groups * layer.kernel**2
    return 1e3 * max(flops / rate, numbers * BYTES[precision] / bandwidth)


@lru_cache(maxsize=1)
def exact(layer: Layer, small: bool) -> dict[str, NDArray[Any]]:
    """All directions in float64: by PyTorch where it is, else by minifcn on the CPU."""
    import minifcn as mf
    import minifcn.functional as F

    wide = [a.astype(np.float64) for a in arrays(layer)]
    how: dict[str, Any] = {"stride": layer.stride, "padding": layer.padding}
    if small or missing("torch"):
        x, w, g = map(mf.tensor, wide)
        up = F.conv_transpose2d(g, w, **how, output_size=layer.size)
        gw = F.conv2d_weight(x, g, layer.kernel, **how)
        return {"forward": F.conv2d(x, w, **how).numpy(), "image": up.numpy(), "weight": gw.numpy()}
    import torch

    x, w, g = (torch.tensor(a, device="cuda") for a in wide)
    x.requires_grad_(), w.requires_grad_()
    y = torch.nn.functional.conv2d(x, w, **how)
    gx, gw = torch.autograd.grad(y, (x, w), g)
    return {name: t.detach().cpu().numpy() for name, t in zip(DIRECTIONS, (y, gx, gw), strict=True)}


def off(got: Any, want: NDArray[Any]) -> float:
    """|a - b| / |b| (Euclidean); a nan is infinitely off."""
    error = float(np.linalg.norm(got.astype(np.float64) - want)) / float(np.linalg.norm(want))
    return error if error == error else float("inf")


def one(
    layer: Layer, precision: str, rounds: int, repeat: int, ceilings: dict[str, float], small: bool
) -> dict[str, Any]:
    """Errors, then times of one layer in one precision; refuses to time what does not agree."""
    found: dict[str, Any] = {"floor ms": {}, "ms": {}, "error": {}}
    want = exact(layer, small)
    with minifcn_precision(precision):
        ours = minifcn_calls(layer, precision)
        for direction, call in ours.items():
            got = call().astype("float32").numpy()
            error = found["error"][direction] = off(got, want[direction])
            if not error <= CLOSE[precision]:
                raise DisagreementError(
                    f"{layer.name}, {direction}, {precision}: off by {error:.1e} of float64, "
                    f"expected at most {CLOSE[precision]:.0e}: not the same computation"
                )
        theirs = {}
        if not missing("torch"):
            import torch

            torch.backends.cudnn.allow_tf32 = precision == "tf32"
            torch.backends.cudnn.benchmark = True
            for layout in ("NCHW", "channels_last"):
                theirs[layout] = torch_calls(layer, precision, layout == "channels_last")
        for direction in DIRECTIONS:
            sides: dict[str, Any] = {"minifcn": Ours(ours[direction], repeat)}
            for layout, calls in theirs.items():
                sides[layout] = Theirs(calls[direction], repeat)
            found["ms"][direction] = take(sides, rounds)
            if ceilings:
                rate, width = ceilings[precision], ceilings["bandwidth"]
                found["floor ms"][direction] = floors(layer, precision, rate, width)
    return found
