"""shapes: the same elements under another shape or type, and constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .... import functional as F
from ....core import Tensor
from ....device import is_floating
from .node import Node, Run, UnsupportedError, operator
from .values import LIMIT, Value, allowed, axis_of, host, ints, reshaped

TYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
)  # fmt: skip


@operator("Reshape")
def reshape(node: Node) -> Run:
    """0 keeps an axis, unless allowzero; -1 is what is left."""
    options = node.read(shape=None, allowzero=0, consumed_inputs=[])

    def run(x: Value, shape: Value = None) -> Value:
        sizes = list(options.shape) if shape is None else ints(shape)
        if not options.allowzero:
            sizes = [x.shape[a] if size == 0 else size for a, size in enumerate(sizes)]
        return reshaped(x, tuple(sizes))

    return run


@operator("Flatten")
def flatten(node: Node) -> Run:
    """Two axes: those before `axis`, and the rest."""
    axis = node.read(axis=1).axis

    def run(x: Value) -> Value:
        first = axis % x.ndim if axis < 0 else axis
        return reshaped(x, (math.prod(x.shape[:first]), math.prod(x.shape[first:])))

    return run


@operator("Squeeze")
def squeeze(node: Node) -> Run:
    """The axes are an attribute before opset 13, an input since; none: all of size 1."""
    given = node.read(axes=None).axes

    def run(x: Value, axes: Value = None) -> Value:
        listed = given if axes is None else ints(axes)
        if listed is None:
            gone = {axis for axis, size in enumerate(x.shape) if size == 1}
        else:
            gone = {axis_of(axis, x.ndim) for axis in listed}
        if any(x.shape[axis] != 1 for axis in gone):
            raise ValueError(f"Squeeze: axes are {sorted(gone)}, expected of size 1 in {x.shape}")
        return reshaped(x, tuple(size for axis, size in enumerate(x.shape) if axis not in gone))

    return run


@operator("Unsqueeze")
def unsqueeze(node: Node) -> Run:
    given = node.read(axes=None).axes

    def run(x: Value, axes: Value = None) -> Value:
        listed = given if axes is None else ints(axes)
        ndim = x.ndim + len(listed)
        new = {axis_of(axis, ndim) for axis in listed}
        if len(new) != len(listed):
            raise ValueError(f"Unsqueeze: axes {listed} name an axis twice")
        sizes = iter(x.shape)
        return reshaped(x, tuple(1 if axis in new else next(sizes) for axis in range(ndim)))

    return run


@operator("Transpose")
def transpose(node: Node) -> Run:
    perm = node.read(perm=None).perm

    def run(x: Value) -> Value:
        axes = tuple(reversed(range(x.ndim))) if perm is None else tuple(perm)
        return F.permute(x, axes) if isinstance(x, Tensor) else x.transpose(axes)

    return run


@operator("Shape")
def shape(node: Node) -> Run:
    options = node.read(start=0, end=None)
    return lambda x: np.array(x.shape[options.start : options.end], np.int64)


@operator("Size")
def size(node: Node) -> Run:
    return lambda x: np.array(math.prod(x.shape), np.int64)


@operator("Expand", since=8)
def expand(node: Node) -> Run:
    """The shapes broadcast together."""

    def run(x: Value, shape: Value) -> Value:
        wanted = allowed(np.broadcast_shapes(x.shape, allowed(ints(shape))), x.dtype.itemsize)
        return F.broadcast_to(x, wanted) if isinstance(x, Tensor) else np.broadcast_to(x, wanted)

    return run


@operator("Tile")
def tile(node: Node) -> Run:
    """Every axis repeated as a whole; before opset 6 one axis."""

    def run(x: Value, repeats: Value, axis: Value = None) -> Value:
        times = ints(repeats)
        if axis is not None:
            along = axis_of(ints(axis)[0], x.ndim)
            times = [times[0] if a == along else 1 for a in range(x.ndim)]
        allowed([n * m for n, m in zip(x.shape, times, strict=True)], x.dtype.itemsize)
        if not isinstance(x, Tensor):
            return np.tile(x, times)
        for a, count in enumerate(times):
            if count > 1:
                x = F.cat([x] * count, a)
            elif count == 0:
                x = x[tuple(slice(0, 0) if b == a else slice(None) for b in range(x.ndim))]
        return x

    return run


@operator("Cast")
def cast(node: Node) -> Run:
    """By number; by name before opset 6."""
    from onnx import TensorProto, helper

    to = node.read(to=None, saturate=1, round_mode="up").to
    try:
        code = TensorProto.DataType.Value(to.upper()) if isinstance(to, str) else int(to)
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(code))
    except (KeyError, TypeError, ValueError) as error:
        raise UnsupportedError(f"attribute to is {to!r}") from error
    if dtype.name not in TYPES:
        raise UnsupportedError(f"a cast to {dtype}")
    return lambda x: _cast(x, dtype)


@operator("CastLike", since=15)
def cast_like(node: Node) -> Run:
    return lambda x, like: _cast(x, like.dtype)


def _cast(x: Value, dtype: Any) -> Value:
    for type_name in (x.dtype.name, dtype.name):
        if type_name not in TYPES:
            raise ValueError(f"elements of type {type_name} are not supported")
    if isinstance(x, Tensor) and is_floating(dtype):
        return F.cast(x, dtype)
    with np.errstate(all="ignore"):
        return host(x).astype(dtype)


@operator("Constant")
def constant(node: Node) -> Run:
    names = ("value", "value_float", "value_floats", "value_int", "value_ints")
    options = vars(node.read(**dict.fromkeys(names)))
    given = [(name, value) for name, value in options.items() if value is not None]
    if len(given) != 1:
        raise UnsupportedError(f"{len(given)} values, expected one")
    name, value = given[0]
    dtype = {"value_float": np.float32, "value_floats": np.float32}.get(name, np.int64)
    made = value if name == "value" else np.array(value, dtype)
    return lambda: made


@operator("ConstantOfShape", since=9)
def constant_of_shape(node: Node) -> Run:
    given = node.read(value=None).value
    value = np.zeros(1, np.float32) if given is None else given

    def run(shape: Value) -> Value:
        sizes = allowed(ints(shape) if np.size(host(shape)) else (), value.dtype.itemsize)
        return np.full(sizes, value.reshape(-1)[0], value.dtype)

    return run


@operator("Range", since=11)
def numbers(node: Node) -> Run:
    node.read(stash_type=1)

    def run(start: Value, limit: Value, delta: Value) -> Value:
        first, last, step = (host(value).reshape(-1)[0] for value in (start, limit, delta))
        if step == 0 or abs((float(last) - float(first)) / float(step)) > LIMIT / 8:
            raise ValueError(f"Range: from {first} to {last} by {step}")
        return np.arange(first, last, step, dtype=host(start).dtype)

    return run


@operator("EyeLike", since=9)
def eye_like(node: Node) -> Run:
    from onnx import helper

    options = node.read(dtype=None, k=0)

    def run(x: Value) -> Value:
        given = options.dtype
        dtype = x.dtype if given is None else helper.tensor_dtype_to_np_dtype(given)
        rows, columns = allowed(x.shape)
        return np.eye(rows, columns, k=options.k, dtype=np.dtype(dtype))

    return run
