"""parts: joining, cutting, picking and bordering."""

from __future__ import annotations

from typing import Any

import numpy as np

from .... import functional as F
from ....core import Tensor
from ....functional.gather import ScatterAlong
from .node import Node, Run, UnsupportedError, operator
from .values import Value, allowed, axis_of, beside, host, ints, labels, number, reshaped, truths


@operator("Concat")
def concat(node: Node) -> Run:
    axis = node.read(axis=1 if node.version < 4 else 0).axis

    def run(*values: Value) -> Value:
        along = axis_of(axis, values[0].ndim)
        tensors = [value for value in values if isinstance(value, Tensor)]
        if not tensors:
            return np.concatenate(values, along)
        return F.cat([beside(value, tensors[0]) for value in values], along)

    return run


@operator("Split")
def split(node: Node) -> Run:
    """Sizes as an attribute before opset 13, as an input since; none: equal, the last one less."""
    options = node.read(axis=0, split=None, num_outputs=0)
    count = len(node.outputs)

    def run(x: Value, sizes: Value = None) -> tuple[Value, ...]:
        axis = axis_of(options.axis, x.ndim)
        given = options.split if sizes is None else ints(sizes)
        if given is None:
            each = -(-x.shape[axis] // count)
            starts = [min(k * each, x.shape[axis]) for k in range(count + 1)]
        else:
            starts = np.cumsum([0, *given]).tolist()
        if starts[-1] != x.shape[axis] or len(starts) != count + 1:
            raise ValueError(f"Split: sizes {given} for axis {axis} of {x.shape}, {count} outputs")
        before = (slice(None),) * axis
        return tuple(
            x[(*before, slice(a, b))] for a, b in zip(starts[:-1], starts[1:], strict=True)
        )

    return run


@operator("Slice")
def slices(node: Node) -> Run:
    """Starts, ends and axes as attributes before opset 10, as inputs since."""
    options = node.read(starts=None, ends=None, axes=None)

    def run(x: Value, *inputs: Value) -> Value:
        given: list[Any] = [None if one is None else ints(one) for one in inputs]
        if not given:
            given = [options.starts, options.ends, options.axes]
        starts, ends, axes, steps = [*given, None, None][:4]
        axes = range(len(starts)) if axes is None else axes
        steps = [1] * len(starts) if steps is None else steps
        key = [slice(None)] * x.ndim
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            a = axis_of(axis, x.ndim)
            first, stop, step = slice(start, end, step).indices(x.shape[a])
            key[a] = slice(first, None if stop < 0 else stop, step)
        return x[tuple(key)]

    return run


@operator("Gather")
def gather(node: Node) -> Run:
    axis = node.read(axis=0).axis

    def run(x: Value, index: Value) -> Value:
        along, places = axis_of(axis, x.ndim), host(index)
        if not isinstance(x, Tensor):
            return np.take(x, places, along)
        return x[(*(slice(None),) * along, labels(places, x))]

    return run


@operator("GatherElements", since=11)
def gather_elements(node: Node) -> Run:
    axis = node.read(axis=0).axis

    def run(x: Value, index: Value) -> Value:
        along = axis_of(axis, x.ndim)
        places = _counted(host(index), x.shape, along)
        if not isinstance(x, Tensor):
            return np.take_along_axis(x, places, along)
        return F.gather(x, along, labels(places, x))

    return run


def _counted(index: Any, shape: Any, axis: int) -> Any:
    """Indices counted from the front, all of them in range: kernels believe what they are given."""
    size = shape[axis]
    if index.dtype.kind not in "iu" or index.ndim != len(shape):
        raise ValueError(f"indices are {index.dtype} of shape {index.shape}, for x of {shape}")
    if index.size and (index.min() < -size or index.max() >= size):
        raise ValueError(f"indices hold {index.min()} to {index.max()}, for {size} places")
    return np.where(index < 0, index + size, index).astype(np.int64)


@operator("ScatterElements", since=11)
def scatter_elements(node: Node) -> Run:
    """Where the indices of one line differ, or are to be added."""
    options = node.read(axis=0, reduction="none")
    node.one_of("reduction", options.reduction, ("none", "add"))

    def run(x: Value, index: Value, updates: Value) -> Value:
        axis = axis_of(options.axis, x.ndim)
        places = _counted(host(index), x.shape, axis)
        if not isinstance(x, Tensor):
            raise ValueError("ScatterElements: into whole numbers is not supported")
        rest = [n for a, n in enumerate(x.shape) if a != axis]
        if rest != [n for a, n in enumerate(places.shape) if a != axis]:
            raise ValueError(f"ScatterElements: indices {places.shape} into {x.shape}")
        if updates.shape != places.shape:
            raise ValueError(f"ScatterElements: updates {updates.shape} at {places.shape}")
        put = ScatterAlong(axis, x.shape[axis])
        added = put(beside(updates, x), labels(places, x))
        if options.reduction == "add":
            return x + added
        met = np.zeros(x.shape, bool)
        np.put_along_axis(met, places, True, axis)
        if met.sum() != places.size:
            raise ValueError("ScatterElements: an index occurs twice")
        return F.where(truths(met, x), added, x)

    return run


@operator("Pad", "CenterCropPad")
def pad(node: Node) -> Run:
    if node.kind == "CenterCropPad":
        return _centred(node)
    options = node.read(mode="constant", pads=None, paddings=None, value=0.0)
    node.one_of("mode", options.mode, ("constant", "reflect", "edge", "wrap"))

    def run(x: Value, pads: Value = None, value: Value = None, axes: Value = None) -> Value:
        given = (options.pads or options.paddings) if pads is None else ints(pads)
        fill = options.value if value is None else number(value)
        along = range(x.ndim) if axes is None else [axis_of(a, x.ndim) for a in ints(axes)]
        count = len(given) // 2
        sides = [(0, 0)] * x.ndim
        for place, axis in enumerate(along):
            sides[axis] = (given[place], given[place + count])
        return bordered(x, sides, options.mode, fill)

    return run


def bordered(x: Value, sides: Any, mode: str = "constant", fill: float = 0.0) -> Value:
    """A border of (before, after) for every axis; a negative one crops."""
    allowed([n + max(a, 0) + max(b, 0) for n, (a, b) in zip(x.shape, sides, strict=True)],
            x.dtype.itemsize)  # fmt: skip
    if mode == "constant" and isinstance(x, Tensor):
        flat = [side for pair in reversed(sides) for side in pair]
        return F.pad(x, flat, value=fill)
    if _by_operator(x, sides, mode):  # one that is exported again for any size
        (top, bottom), (left, right) = sides[2:]
        name = {"edge": "replicate"}.get(mode, mode)
        return F.pad(x, (left, right, top, bottom), mode=name)
    for axis, (before, after) in enumerate(sides):
        if (before, after) == (0, 0):
            continue
        size = x.shape[axis]
        places = np.arange(-before, size + after)
        if mode == "constant":
            x = x[(*(slice(None),) * axis, slice(max(-before, 0), size + min(after, 0)))]
            pair = [(0, 0)] * x.ndim
            pair[axis] = (max(before, 0), max(after, 0))
            x = np.pad(x, pair, constant_values=np.array(fill, x.dtype))
            continue
        if size == 0:
            raise ValueError(f"Pad: axis {axis} of x is 0, expected a pixel to repeat")
        found = _mapped(places, size, mode)
        key = (slice(None),) * axis
        x = x[(*key, labels(found, x))] if isinstance(x, Tensor) else x[(*key, found)]
    return x


def _by_operator(x: Value, sides: Any, mode: str) -> bool:
    """Whether F.pad has it: rows and columns of images, by their last ones or a mirror."""
    if not isinstance(x, Tensor) or x.ndim != 4 or mode not in ("edge", "reflect"):
        return False
    if min(x.shape[2:]) < 1 or any(min(pair) < 0 for pair in sides) or np.any(sides[:2]):
        return False
    return mode == "edge" or all(max(sides[axis]) < x.shape[axis] for axis in (2, 3))


def _mapped(places: Any, size: int, mode: str) -> Any:
    """Which pixel every pixel of the result copies."""
    if mode == "wrap":
        return places % size
    if mode == "edge" or size == 1:
        return np.clip(places, 0, size - 1)
    around = places % (2 * (size - 1))
    return np.where(around < size, around, 2 * (size - 1) - around)


def _centred(node: Node) -> Run:
    """Cut or bordered to a shape, alike at both ends; the odd pixel at the end."""
    given = node.read(axes=None).axes

    def run(x: Value, shape: Value) -> Value:
        axes = range(x.ndim) if given is None else [axis_of(a, x.ndim) for a in given]
        sides = [(0, 0)] * x.ndim
        for axis, size in zip(axes, ints(shape), strict=True):
            more = size - x.shape[axis]
            before = more // 2 if more >= 0 else -(-more // 2)
            sides[axis] = (before, more - before)
        return bordered(x, sides)

    return run


def _block(node: Node) -> tuple[int, str]:
    """The side of a block, and which of it counts slower: depth (DCR) or columns and rows."""
    options = node.read(blocksize=None, mode="DCR")
    node.one_of("mode", options.mode, ("DCR", "CRD"))
    if not options.blocksize:
        raise UnsupportedError("no attribute blocksize")
    return options.blocksize, options.mode


@operator("DepthToSpace")
def depth_to_space(node: Node) -> Run:
    """Blocks of b x b pixels out of channels."""
    b, mode = _block(node)

    def run(x: Value) -> Value:
        N, C, H, W = x.shape
        if mode == "DCR":
            y = F.permute(F.reshape(x, (N, b, b, C // b**2, H, W)), (0, 3, 4, 1, 5, 2))
        else:
            y = F.permute(F.reshape(x, (N, C // b**2, b, b, H, W)), (0, 1, 4, 2, 5, 3))
        return F.reshape(y, (N, C // b**2, H * b, W * b))

    return run


@operator("SpaceToDepth")
def space_to_depth(node: Node) -> Run:
    b, mode = _block(node)

    def run(x: Value) -> Value:
        N, C, H, W = x.shape
        order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
        y = F.permute(F.reshape(x, (N, C, H // b, b, W // b, b)), order)
        return reshaped(y, (N, C * b**2, H // b, W // b))

    return run
