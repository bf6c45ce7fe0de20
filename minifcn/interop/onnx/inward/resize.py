"""resize: another size for the same picture, by all of ONNX's conventions.

One axis at a time: where pixel i of the result lies among the old ones (`_place`), which of those
it reads and how much of each (`_taps`). Nearest pixels are picked, the other ways are a matrix
product; bilinear images go by our own operator where it means the same.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np

from .... import functional as F
from ....core import Tensor
from .node import Node, Run, operator
from .values import Value, allowed, axis_of, beside, host, ints, labels

PLACES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
          "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize")  # fmt: skip
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
LONGEST = 1 << 20
POLICIES = ("stretch", "not_larger", "not_smaller")


@operator("Upsample", since=7)
def upsample(node: Node) -> Run:
    """Resize as it was before opset 10."""
    o = node.read(mode="nearest", scales=None)
    node.one_of("mode", o.mode, ("nearest", "linear"))
    o = _plain(o.mode, o.scales)

    def run(x: Value, scales: Value = None) -> Value:
        factors = o.scales if scales is None else host(scales).reshape(-1).tolist()
        return _resized(x, o, [float(f) for f in factors], None, None)

    return run


def _plain(mode: str, scales: Any = None) -> SimpleNamespace:
    """The convention before opset 11."""
    return SimpleNamespace(
        mode=mode, scales=scales, coordinate_transformation_mode="asymmetric",
        nearest_mode="floor", antialias=0, exclude_outside=0, extrapolation_value=0.0,
        cubic_coeff_a=-0.75,
    )  # fmt: skip


@operator("Resize", since=10)
def resize(node: Node) -> Run:
    """(x, scales) in opset 10; (x, roi, scales, sizes) since."""
    if node.version == 10:
        old = _plain(node.read(mode="nearest").mode)
        return lambda x, scales: _resized(x, old, host(scales).tolist(), None, None)
    o = node.read(
        antialias=0, axes=None, coordinate_transformation_mode="half_pixel", cubic_coeff_a=-0.75,
        exclude_outside=0, extrapolation_value=0.0, keep_aspect_ratio_policy="stretch",
        mode="nearest", nearest_mode="round_prefer_floor",
    )  # fmt: skip
    node.one_of("mode", o.mode, ("nearest", "linear", "cubic"))
    node.one_of("nearest_mode", o.nearest_mode, ROUNDINGS)
    node.one_of("coordinate_transformation_mode", o.coordinate_transformation_mode, PLACES)
    node.one_of("keep_aspect_ratio_policy", o.keep_aspect_ratio_policy, POLICIES)

    def run(x: Value, roi: Value = None, scales: Value = None, sizes: Value = None) -> Value:
        axes = list(range(x.ndim)) if o.axes is None else [axis_of(a, x.ndim) for a in o.axes]
        factors, wanted = [1.0] * x.ndim, None
        if scales is not None and np.size(host(scales)):
            for axis, factor in zip(axes, host(scales).tolist(), strict=True):
                factors[axis] = factor
        else:
            wanted = list(x.shape)
            given = dict(zip(axes, ints(sizes), strict=True))
            ratios = {axis: size / x.shape[axis] for axis, size in given.items()}
            if o.keep_aspect_ratio_policy != "stretch":
                best = (min if o.keep_aspect_ratio_policy == "not_larger" else max)(ratios.values())
                ratios = dict.fromkeys(given, best)
                given = {axis: math.floor(best * x.shape[axis] + 0.5) for axis in given}
            for axis, size in given.items():
                wanted[axis], factors[axis] = size, ratios[axis]
        part = None
        if roi is not None and np.size(host(roi)):
            edges = host(roi).astype(float).tolist()
            part = {a: (edges[k], edges[k + len(axes)]) for k, a in enumerate(axes)}
        return _resized(x, o, factors, wanted, part)

    return run


def _resized(x: Value, o: Any, factors: list[float], wanted: Any, roi: Any) -> Value:
    whole = isinstance(x, Tensor)
    image = x if whole else beside(x, Tensor(np.zeros(1, np.float32)))
    sizes = [
        math.floor(n * f) if wanted is None else wanted[a]
        for a, (n, f) in enumerate(zip(x.shape, factors, strict=True))
    ]
    allowed(sizes, 8)
    if max(sizes, default=0) > LONGEST:
        raise ValueError(
            f"a size of {sizes} is asked for, expected at most {LONGEST} along an axis"
        )
    if _is_ours(image, o, factors, sizes):
        return _by_ours(image, o, factors, sizes, wanted)
    y = image
    for axis, (factor, size) in enumerate(zip(factors, sizes, strict=True)):
        if factor != 1 or size != x.shape[axis] or roi is not None:
            y = _along(y, axis, size, factor, o, None if roi is None else roi.get(axis))
    return y if whole else host(y).astype(x.dtype)


def _is_ours(x: Tensor, o: Any, factors: list[float], sizes: list[int]) -> bool:
    """Whether F.interpolate means the same."""
    plain = o.mode == "linear" and not o.antialias and not o.exclude_outside and x.ndim == 4
    known = o.coordinate_transformation_mode in ("half_pixel", "align_corners")
    lead = factors[:2] == [1, 1] and tuple(sizes[:2]) == x.shape[:2]
    alike = all((n == m) == (f == 1) for n, m, f in zip(x.shape, sizes, factors, strict=True))
    exact = all(n * f == m for n, m, f in zip(x.shape, sizes, factors, strict=True))
    rounded = o.coordinate_transformation_mode == "half_pixel" or exact
    return plain and known and lead and alike and rounded and min(sizes) > 0


def _by_ours(x: Tensor, o: Any, factors: list[float], sizes: list[int], wanted: Any) -> Tensor:
    corners = o.coordinate_transformation_mode == "align_corners"
    if wanted is not None or corners:
        size = (sizes[2], sizes[3])
        return F.interpolate(x, size, mode="bilinear", align_corners=corners)
    by = (factors[2], factors[3])
    return F.interpolate(x, scale_factor=by, mode="bilinear", align_corners=False)


def _along(x: Tensor, axis: int, size: int, factor: float, o: Any, roi: Any) -> Tensor:
    """One axis."""
    places = [_place(i, x.shape[axis], size, factor, o, roi) for i in range(size)]
    crops = o.coordinate_transformation_mode == "tf_crop_and_resize"
    last = x.shape[axis] - 1
    outside = np.array([crops and not 0 <= place <= last for place in places], bool)
    if o.mode == "nearest":
        found = [min(max(_rounded(place, o.nearest_mode), 0), last) for place in places]
        y = x[(*(slice(None),) * axis, labels(found, x))]
    else:
        matrix = np.zeros((size, last + 1))
        for i, place in enumerate(places):
            for h, weight in _taps(place, min(factor, 1.0) if o.antialias else 1.0, o, last):
                matrix[i, h] += weight
        order = [a for a in range(x.ndim) if a != axis] + [axis]
        lines = F.matmul(F.permute(x, order), F.transpose(beside(matrix, x), 0, 1))
        back = [order.index(a) for a in range(x.ndim)]
        y = F.permute(lines, back)
    if outside.any():
        keep = beside((~outside).reshape(-1, *(1,) * (x.ndim - 1 - axis)), x)
        y = y * keep + o.extrapolation_value * (1 - keep)
    return y


def _place(i: int, H: int, P: int, factor: float, o: Any, roi: Any) -> float:
    """Where pixel i of P lies among the H old ones."""
    mode = o.coordinate_transformation_mode
    if mode == "asymmetric":
        return i / factor
    if mode == "tf_half_pixel_for_nn":
        return (i + 0.5) / factor
    if mode == "align_corners":
        return i * (H - 1) / (H * factor - 1) if P > 1 else 0.0
    if mode == "tf_crop_and_resize":
        first, last = roi or (0.0, 1.0)
        if P == 1:
            return (first + last) * (H - 1) / 2
        return first * (H - 1) + i * (last - first) * (H - 1) / (P - 1)
    if mode == "pytorch_half_pixel" and P == 1:
        return -0.5
    shift = H / 2 * (1 - P / (H * factor)) if mode == "half_pixel_symmetric" else 0.0
    return shift + (i + 0.5) / factor - 0.5


def _rounded(place: float, how: str) -> int:
    below = math.floor(place)
    rest = place - below
    if how == "floor" or rest == 0:
        return below
    if how == "ceil":
        return below + 1
    return below + (rest > 0.5 or (rest == 0.5 and how == "round_prefer_ceil"))


def _taps(place: float, factor: float, o: Any, last: int) -> list[tuple[int, float]]:
    """(old pixel, its share); a kernel as wide as the shrinking with antialias."""
    below = math.ceil(place) - 1
    reach = 1 if o.mode == "linear" else 2
    first = math.floor(-reach / factor) + 1
    found = []
    for k in range(first, 2 - first):
        distance = abs(below + k - place) * factor
        weight = max(1 - distance, 0.0) if reach == 1 else _cubic(distance, o.cubic_coeff_a)
        if o.exclude_outside and not 0 <= below + k <= last:
            weight = 0.0
        found.append((min(max(below + k, 0), last), weight))
    total = sum(weight for _, weight in found)
    return [(h, weight / total) for h, weight in found]


def _cubic(t: float, a: float) -> float:
    """Keys' kernel."""
    if t <= 1:
        return ((a + 2) * t - (a + 3)) * t * t + 1
    return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a if t < 2 else 0.0
