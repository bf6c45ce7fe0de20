"""Damaged and hostile ONNX files: an error that names the file, never a crash or a huge array."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn import models, nn

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from minifcn.interop import onnx as mo  # noqa: E402


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    encoder = {"name": "small", "width": 2, "depth": 2}
    net = models.build({"name": "fcn", "encoder": encoder, "classes": 2})
    mo.export(net, tmp_path / "whole.onnx")
    return (tmp_path / "whole.onnx").read_bytes()


def opened(data: bytes, folder: Path) -> None:
    """Load, and run what can be loaded; only our own errors may come."""
    path = folder / "damaged.onnx"
    path.write_bytes(data)
    try:
        net = mo.load(path)
    except mo.OnnxError as error:
        assert str(path) in str(error) or "not supported" in str(error)
        raise
    with mf.no_grad():
        net(np.zeros((1, 3, 9, 10), np.float32))


def test_a_file_that_is_cut_short_is_refused(whole: bytes, tmp_path: Path) -> None:
    refused = 0
    for length in [*range(0, 64), *range(64, len(whole), 97)]:
        try:
            opened(whole[:length], tmp_path)
        except mo.OnnxError:
            refused += 1
    assert refused == len([*range(0, 64), *range(64, len(whole), 97)])


def test_flipped_bits_raise_our_error_or_nothing(whole: bytes, tmp_path: Path) -> None:
    rng, raised = np.random.default_rng(0), 0
    for _ in range(300):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 3):
            data[place] ^= 1 << int(rng.integers(8))
        try:
            opened(bytes(data), tmp_path)
        except (mo.OnnxError, ValueError):
            raised += 1
    assert raised > 10


@pytest.mark.parametrize("data", [b"", b"\x00" * 50, b"no onnx", b"PK\x03\x04" * 9, b"\x08\x08"])
def test_other_files_are_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(mo.OnnxError, match="is no ONNX file"):
        opened(data, tmp_path)


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        mo.load(tmp_path / "none.onnx")


def model(nodes: list[Any], tensors: list[Any]) -> bytes:
    made = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        tensors,
    )
    proto = helper.make_model(made, opset_imports=[helper.make_opsetid("", 19)])
    data: bytes = proto.SerializeToString()
    return data


ADD = [helper.make_node("Add", ["x", "w"], ["y"])]


def tensor(dims: list[int], **fields: Any) -> Any:
    return TensorProto(name="w", dims=dims, data_type=TensorProto.FLOAT, **fields)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (tensor([1 << 40, 1 << 40]), "more than a file holds"),
        (tensor([1 << 20], raw_data=b"\x00" * 8), "not the data"),
        (tensor([2], raw_data=b"\x00" * 12), "not the data"),
        (tensor([3], float_data=[1.0]), "not the data"),
        (tensor([-1], raw_data=b"\x00" * 4), "negative size"),
        (TensorProto(name="w", dims=[1], data_type=99, raw_data=b"1234"), "element type 99"),
        (TensorProto(name="w", dims=[1], data_type=TensorProto.STRING, string_data=[b"a"]),
         "texts"),
    ],
)  # fmt: skip
def test_tensors_that_are_not_what_they_say(made: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(mo.OnnxError, match=words):
        opened(model(ADD, [made]), tmp_path)


def external(location: str, **entries: str) -> Any:
    made = tensor([2], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        made.external_data.add(key=key, value=value)
    return made


def test_external_data_are_read_from_the_models_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(np.array([0, 1, 2], np.float32).tobytes())
    (tmp_path / "m.onnx").write_bytes(model(ADD, [external("data/w.bin", offset="4")]))
    assert mo.load(tmp_path / "m.onnx")(np.zeros(2, np.float32)).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("location", "entries", "words"),
    [
        ("../secret.bin", {}, "no file in the model's folder"),
        ("link.bin", {}, "no file in the model's folder"),
        ("none.bin", {}, "no file in the model's folder"),
        ("", {}, "which is not said"),
        ("short.bin", {}, "which ends before"),
        ("long.bin", {"offset": "-4"}, "declared"),
        ("long.bin", {"length": "9999999999"}, "declared"),
        ("long.bin", {"offset": "99999999999999999999"}, "which ends before"),
    ],
)
def test_external_data_elsewhere_are_refused(
    location: str, entries: dict[str, str], words: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"12345678")
    (home / "short.bin").write_bytes(b"1234")
    (home / "long.bin").write_bytes(b"12345678")
    try:
        (home / "link.bin").symlink_to(tmp_path / "secret.bin")
    except OSError:
        pytest.skip("no symbolic links here")
    for place in (location, str(tmp_path / "secret.bin") if location == "../secret.bin" else ""):
        if place or not location:
            with pytest.raises(mo.OnnxError, match=words):
                opened(model(ADD, [external(place, **entries)]), home)


HUGE = numpy_helper.from_array(np.array([1 << 20, 1 << 20], np.int64), "w")


@pytest.mark.parametrize(
    "nodes",
    [
        [helper.make_node("ConstantOfShape", ["w"], ["y"])],
        [helper.make_node("Expand", ["x", "w"], ["y"])],
        [helper.make_node("Tile", ["x", "w"], ["y"])],
        [helper.make_node("Resize", ["x", "", "", "w"], ["y"])],
        [helper.make_node("Pad", ["x", "w"], ["y"])],
        [helper.make_node("CenterCropPad", ["x", "w"], ["y"])],
    ],
    ids=lambda nodes: nodes[0].op_type,
)
def test_shapes_out_of_nothing_are_held_small(nodes: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model(nodes, [HUGE]))
    shape = (1,) if nodes[0].op_type == "Pad" else (1, 1)
    x = np.zeros(shape, np.float32)
    if nodes[0].op_type == "Pad":
        x = np.zeros(1, np.float32)
        path.write_bytes(
            model(nodes, [numpy_helper.from_array(np.array([1 << 40, 0], np.int64), "w")])
        )
    with pytest.raises(mo.OnnxError, match="is asked for"):
        mo.load(path)(x)


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([helper.make_node("Add", ["x", "z"], ["y"])], "reads 'z', which nothing made"),
        ([helper.make_node("Add", ["x", "y"], ["y"])], "reads 'y', which nothing made"),
        ([helper.make_node("Relu", ["x"], ["x"])], "makes 'x' a second time"),
        ([helper.make_node("Relu", ["x"], ["z"])], "no node makes the output y"),
    ],
)
def test_graphs_that_are_no_graphs(nodes: list[Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(mo.OnnxError, match=words):
        opened(model(nodes, []), tmp_path)


def field(number: int, data: bytes) -> bytes:
    """One part of a protobuf message, written by hand."""
    size, length = b"", len(data)
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + data


@pytest.mark.parametrize(("depth", "words"), [(5, "operator If"), (2000, "is no ONNX file")])
def test_graphs_within_graphs_are_refused(depth: int, words: str, tmp_path: Path) -> None:
    graph = b""
    for _ in range(depth):
        attribute = field(1, b"then_branch") + field(6, graph) + b"\xa0\x01\x05"
        node = field(1, b"x") + field(2, b"y") + field(4, b"If") + field(5, attribute)
        graph = field(1, node)
    x, y = (field(1, name) + field(2, field(1, b"\x08\x01")) for name in (b"x", b"y"))
    data = field(7, graph + field(11, x) + field(12, y)) + field(8, b"\x10\x13")
    with pytest.raises(mo.OnnxError, match=words):
        opened(data, tmp_path)


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Conv", ["x", "w"], ["y"], pads=[1 << 40, 0, 0, 0]),
        helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[1 << 20, 1 << 20]),
        helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], pads=[0, 1 << 40, 0, 0]),
        helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[1 << 40, 2]),
        helper.make_node("Conv", ["x", "w"], ["y"], dilations=[1 << 40, 1]),
    ],
    ids=lambda node: node.op_type,
)
def test_borders_and_strides_are_held_small(node: Any, tmp_path: Path) -> None:
    w = numpy_helper.from_array(np.ones((1, 1, 3, 3), np.float32), "w")
    (tmp_path / "m.onnx").write_bytes(model([node], [w]))
    with pytest.raises(mo.OnnxError, match="is asked for"):
        mo.load(tmp_path / "m.onnx")(np.zeros((1, 1, 8, 8), np.float32))


def test_without_onnx_one_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    for call in (
        lambda: mo.load(tmp_path / "m.onnx"),
        lambda: mo.export(nn.ReLU(), tmp_path / "m"),
    ):
        with pytest.raises(mo.OnnxError, match=r"needs the package onnx; install minifcn\[onnx\]"):
            call()


@pytest.mark.parametrize("kind", ["GatherElements", "ScatterElements"])
@pytest.mark.parametrize(
    ("index", "words"),
    [
        (np.array([[3]]), "hold 3 to 3, for 3 places"),
        (np.array([[-4]]), "hold -4 to -4"),
        (np.array([[1 << 62]]), "for 3 places"),
        (np.array([1]), "indices are int64 of shape"),
    ],
)
def test_indices_are_held_within_the_axis(
    kind: str, index: Any, words: str, tmp_path: Path
) -> None:
    """Kernels believe the indices that they are given, on a GPU too."""
    more = ["u"] if kind == "ScatterElements" else []
    node = helper.make_node(kind, ["x", "i", *more], ["y"], axis=0)
    tensors = [
        numpy_helper.from_array(index, "i"),
        numpy_helper.from_array(np.ones(index.shape, np.float32), "u"),
    ]
    (tmp_path / "m.onnx").write_bytes(model([node], tensors))
    with pytest.raises(mo.OnnxError, match=words):
        mo.load(tmp_path / "m.onnx")(np.zeros((3, 1), np.float32))
