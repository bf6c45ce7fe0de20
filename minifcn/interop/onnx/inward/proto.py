"""proto: an ONNX file as plain values: nodes, constants, names. Checked before anything is made.

Nothing of the file is believed: sizes are held against the bytes that are there, and external data
is read only from files beside or below the model's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ....device import Array
from ..error import OnnxError, need

NEWEST = 28  # the opset that this was checked with
LARGEST = 1 << 31  # bytes of a file: what a protobuf message may hold


@dataclass(frozen=True)
class RawNode:
    """A node as the file has it; attributes as numbers, texts, lists and arrays."""

    kind: str
    name: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass
class Plan:
    """All of a graph. `inputs`: name -> shape, a size that may vary being None."""

    opsets: dict[str, int]
    nodes: list[RawNode]
    constants: dict[str, Array]
    inputs: dict[str, tuple[int | None, ...] | None]
    outputs: list[str]
    metadata: dict[str, str] = field(default_factory=dict)


def read(path: str | Path) -> Plan:
    """The plan of a file."""
    need("onnx", "onnx")
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"load: {path}: no such file")
    if path.stat().st_size > LARGEST:
        raise OnnxError(
            f"load: {path}: has {path.stat().st_size} bytes, at most {LARGEST} are read"
        )
    try:
        return plan(parsed(path.read_bytes()), path.parent)
    except OnnxError as error:
        raise OnnxError(f"load: {path}: {error}") from error


def parsed(data: bytes) -> Any:
    """The bytes as a ModelProto."""
    from onnx import ModelProto

    model = ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # protobuf's DecodeError, whose module onnx alone asks for
        raise OnnxError(f"is no ONNX file ({error})") from error
    if not model.HasField("graph") or not model.opset_import:
        raise OnnxError("is no ONNX file, or is cut short: it has no graph or names no opset")
    return model


def plan(model: Any, folder: Path | None = None) -> Plan:
    """Everything of a ModelProto that we use; all faults together."""
    graph = model.graph
    _check_texts(model)
    faults = _unsupported(model)
    opsets = {
        ("" if o.domain == "ai.onnx" else o.domain): int(o.version) for o in model.opset_import
    }
    if not 1 <= opsets.get("", 1) <= NEWEST:
        faults.append(f"opset {opsets['']}, expected 1 to {NEWEST}")
    if faults:
        raise OnnxError("; ".join(faults))
    constants = {}
    for tensor in graph.initializer:
        if tensor.name in constants:
            raise OnnxError(f"there are two initializers {tensor.name!r}")
        constants[tensor.name] = array_of(tensor, folder)
    nodes = [_node(node, folder) for node in graph.node]
    inputs = {one.name: _shape(one) for one in graph.input if one.name not in constants}
    found = Plan(opsets, nodes, constants, inputs, [one.name for one in graph.output])
    found.metadata = {prop.key: prop.value for prop in model.metadata_props}
    _check_order(found)
    return found


def _check_texts(model: Any) -> None:
    """Names are texts; where they are not, protobuf gives bytes."""
    graph = model.graph
    named = [*graph.initializer, *graph.input, *graph.output, *graph.node]
    texts = [one.name for one in named] + [o.domain for o in model.opset_import]
    for node in graph.node:
        texts += [node.op_type, node.domain, *node.input, *node.output]
        texts += [one.name for one in node.attribute]
    texts += [text for prop in model.metadata_props for text in (prop.key, prop.value)]
    wrong = [text for text in texts if not isinstance(text, str)]
    if wrong:
        raise OnnxError(f"a name is {wrong[0]!r}, which is no text in UTF-8")


def _unsupported(model: Any) -> list[str]:
    """Parts of a model that we do not know."""
    faults = []
    if model.graph.sparse_initializer:
        faults.append("sparse initializers are not supported")
    if model.functions:
        faults.append(f"functions of the file's own are not supported ({len(model.functions)})")
    return faults


def _check_order(found: Plan) -> None:
    """Every value is made once, before it is read."""
    known = {"", *found.inputs, *found.constants}
    for place, node in enumerate(found.nodes):
        for name in node.inputs:
            if name not in known:
                raise OnnxError(f"node {place} ({node.kind}) reads {name!r}, which nothing made")
        for name in node.outputs:
            if name and name in known:
                raise OnnxError(f"node {place} ({node.kind}) makes {name!r} a second time")
            known.add(name)
    missing = [name for name in found.outputs if name not in known or not name]
    if missing or not found.outputs:
        raise OnnxError(f"no node makes the output {', '.join(missing) or 'of the graph'}")


def _shape(value: Any) -> tuple[int | None, ...] | None:
    """The declared shape of an input; None where none is declared."""
    if not value.type.HasField("tensor_type"):
        raise OnnxError(f"input {value.name!r} is no tensor")
    declared = value.type.tensor_type
    if not declared.HasField("shape"):
        return None
    sizes = declared.shape.dim
    return tuple(int(d.dim_value) if d.WhichOneof("value") == "dim_value" else None for d in sizes)


def _node(node: Any, folder: Path | None) -> RawNode:
    attributes: dict[str, Any] = {}
    for one in node.attribute:
        if one.name in attributes:
            raise OnnxError(f"{node.op_type} {node.name!r} has attribute {one.name!r} twice")
        attributes[one.name] = _attribute(one, folder)
    domain = "" if node.domain == "ai.onnx" else node.domain
    return RawNode(
        node.op_type, node.name, domain, tuple(node.input), tuple(node.output), attributes
    )


def _attribute(one: Any, folder: Path | None) -> Any:
    from onnx import AttributeProto

    kind = AttributeProto.AttributeType.Name(one.type) if one.type else ""
    if kind == "FLOAT":
        return float(one.f)
    if kind == "INT":
        return int(one.i)
    if kind == "STRING":
        return one.s.decode("utf-8", "replace")
    if kind == "TENSOR":
        return array_of(one.t, folder)
    if kind == "FLOATS":
        return [float(value) for value in one.floats]
    if kind == "INTS":
        return [int(value) for value in one.ints]
    return _Other(kind or "untyped")


@dataclass(frozen=True)
class _Other:
    """An attribute of a type that no operator of ours takes: a graph, a list of texts."""

    kind: str


# ---- tensors ---------------------------------------------------------------------------------


def array_of(tensor: Any, folder: Path | None) -> Array:
    """A TensorProto as an array, if its bytes are as many as its shape says."""
    from onnx import TensorProto, helper, numpy_helper

    shape = tuple(int(size) for size in tensor.dims)
    what = f"tensor {tensor.name!r} of shape {shape}"
    if any(size < 0 for size in shape):
        raise OnnxError(f"{what} has a negative size")
    count = math.prod(shape)
    try:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
    except (KeyError, TypeError, ValueError) as error:
        raise OnnxError(f"{what} has element type {tensor.data_type}") from error
    if tensor.HasField("segment"):
        raise OnnxError(f"{what} comes in segments, which are not supported")
    if tensor.data_location == TensorProto.EXTERNAL:
        data = _external(tensor, count * dtype.itemsize, what, folder)
        return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype).reshape(shape)
    if dtype.kind == "O":
        raise OnnxError(f"{what} holds texts, which are not supported")
    if count > LARGEST:
        raise OnnxError(f"{what} has {count} elements, more than a file holds")
    try:
        made: Array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise OnnxError(f"{what} has not the data that this takes ({error})") from error
    if made.shape != shape:
        raise OnnxError(f"{what} has data for {made.shape}")
    return made


def _external(tensor: Any, size: int, what: str, folder: Path | None) -> bytes:
    """Bytes of another file, which must lie in the model's folder or below."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None or not location:
        raise OnnxError(f"{what} lies in another file, but which is not said")
    home = folder.resolve()
    path = (home / location).resolve()
    if not path.is_relative_to(home) or not path.is_file():
        raise OnnxError(
            f"{what} lies in {location!r}, which is no file in the model's folder or below"
        )
    offset, length = entries.get("offset", "0"), entries.get("length", str(size))
    if not (offset.isdecimal() and length.isdecimal()) or int(length) != size:
        raise OnnxError(f"{what} takes {size} bytes, but {length!r} from {offset!r} are declared")
    if int(offset) + size > path.stat().st_size:
        raise OnnxError(
            f"{what} takes {size} bytes from {offset} of {location!r}, which ends before"
        )
    with open(path, "rb") as file:
        file.seek(int(offset))
        return file.read(size)
