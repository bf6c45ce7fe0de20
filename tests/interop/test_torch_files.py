"""Files of torch.save, both formats, read without PyTorch: right, whole, or an error."""

import struct
import zipfile
from typing import Any

import numpy as np
import pytest

from minifcn.files import FileError
from minifcn.interop import read_state
from tests.interop.torch_writer import (
    call,
    in_a_row,
    name,
    number,
    saved,
    storage,
    table,
    tensor,
    text,
    values,
    zipped,
)

KINDS = ["f8", "f4", "f2", "i8", "u1", "?"]
SIX = np.arange(6, dtype="<f4")


def read(path, content, **options):
    path.write_bytes(content)
    return read_state(path, **options)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "old"])
def test_every_dtype_and_shape_comes_back(legacy, tmp_path):
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        f"layer.{kind}": rng.integers(0, 9, (2, 3)).astype(kind) for kind in KINDS
    }
    arrays |= {"scalar": np.float32(3.5), "none": np.zeros((0, 4), "f4")}
    back = read(tmp_path / "a.pth", saved(arrays, legacy))
    assert list(back) == list(arrays)
    for key, array in arrays.items():
        assert back[key].dtype == array.dtype and back[key].shape == array.shape
        assert np.array_equal(back[key], array)


def test_bfloat16_is_widened_without_loss(tmp_path):
    values_ = np.array([1.0, -2.5, 3.0e38, 1e-40, np.inf], "<f4")
    upper = (values_.view("<u4") >> 16).astype("<u2")
    made = tensor(storage("0", "BFloat16", 5), [5])
    back = read(tmp_path / "a.pth", zipped(table({"a": made}), {"0": upper.tobytes()}))["a"]
    assert back.dtype == np.float32
    assert np.array_equal(back.view(np.uint32), upper.astype(np.uint32) << 16)


def test_strides_offsets_and_shared_storages(tmp_path):
    whole = np.arange(12, dtype="<f4").reshape(3, 4)
    one = storage("0", "Float", 12)
    entries = {
        "whole": tensor(one, [3, 4]),
        "transposed": tensor(one, [4, 3], [1, 4]),
        "part": tensor(one, [2, 2], [4, 1], offset=5),
        "column": tensor(one, [3], [4], offset=2),
        "repeated": tensor(one, [5, 2], [0, 1]),
    }
    back = read(tmp_path / "a.pth", zipped(table(entries), {"0": whole.tobytes()}))
    assert np.array_equal(back["whole"], whole)
    assert np.array_equal(back["transposed"], whole.T)
    assert np.array_equal(back["part"], whole[1:3, 1:3])
    assert np.array_equal(back["column"], whole[:, 2])
    assert np.array_equal(back["repeated"], np.tile(whole[0, :2], (5, 1)))
    assert all(np.shares_memory(back["whole"], array) for array in back.values())
    with pytest.raises(ValueError, match="read-only"):
        back["whole"][0] = 0


def test_many_views_of_one_storage_cost_its_memory_once(tmp_path):
    count = 1 << 16
    one = storage("0", "BFloat16", count)
    entries = {f"a{k}": tensor(one, [count]) for k in range(500)}
    back = read(tmp_path / "a.pth", zipped(table(entries), {"0": b"\0" * 2 * count}))
    assert all(np.shares_memory(back["a0"], array) for array in back.values())


def test_parts_of_storages_as_pytorch_wrote_them_below_0_4(tmp_path):
    part = values(text("0.1"), number(2), number(3))  # three numbers, from the third on
    kind = name("torch", "FloatStorage")
    reference = values(text("storage"), kind, text("0"), text("cpu"), number(6), part) + b"Q"
    body = table({"a": tensor(reference, [2], offset=1)})
    back = read(tmp_path / "a.pth", in_a_row(body, {"0": (6, SIX.tobytes())}))
    assert back["a"].tolist() == [3.0, 4.0]


def test_parameters_and_typeless_storages(tmp_path):
    one = tensor(storage("0", "Float", 6), [6])
    parameter = call(name("torch._utils", "_rebuild_parameter"), one, b"\x88", b"}")
    bytes_ = values(text("storage"), name("torch.storage", "UntypedStorage"), text("0"),
                    text("cpu"), number(24)) + b"Q"  # fmt: skip
    typeless = call(name("torch._utils", "_rebuild_tensor_v3"), bytes_, number(3),
                    values(number(3)), values(number(1)), b"\x89", b"}", name("torch", "float32"),
                    b"}")  # fmt: skip
    body = table({"a": parameter, "b": typeless})
    back = read(tmp_path / "a.pth", zipped(body, {"0": SIX.tobytes()}))
    assert back["a"].tolist() == SIX.tolist() and back["b"].tolist() == [3.0, 4.0, 5.0]


def test_big_endian_files(tmp_path):
    body = table({"a": tensor(storage("0", "Float", 6), [6])})
    back = read(tmp_path / "a.pth", zipped(body, {"0": SIX.astype(">f4").tobytes()}, b"big"))
    assert back["a"].tolist() == SIX.tolist() and back["a"].dtype.isnative


def nested(**entries):
    return zipped(table(entries), {"0": SIX.tobytes()})


STATE = table({"weight": tensor(storage("0", "Float", 6), [6])})
OTHER = table({"bias": tensor(storage("0", "Float", 6), [3])})


def test_state_dicts_are_found_in_larger_dicts(tmp_path):
    path = tmp_path / "a.pth"
    assert list(read(path, nested(epoch=number(3), state_dict=STATE))) == ["weight"]
    assert list(read(path, nested(optimizer=OTHER, model=STATE))) == ["weight"]
    assert list(read(path, nested(anything=STATE))) == ["weight"]
    assert list(read(path, nested(run=table({"model": STATE}), lr=b"N"))) == ["weight"]
    assert list(read(path, nested(ema=STATE, teacher=OTHER), key="teacher")) == ["bias"]
    assert list(read(path, nested(run=table({"a": STATE, "b": OTHER})), key="run.b")) == ["bias"]


def test_what_cannot_be_found_is_said(tmp_path):
    path = tmp_path / "a.pth"
    with pytest.raises(FileError, match=r"a.pth: has several dicts of tensors \('ema', 'teacher'"):
        read(path, nested(ema=STATE, teacher=OTHER))
    with pytest.raises(FileError, match="has no 'student', but 'ema'"):
        read(path, nested(ema=STATE), key="student")
    with pytest.raises(FileError, match="has no dict of tensors, but 'epoch'"):
        read(path, nested(epoch=number(3)))
    with pytest.raises(FileError, match="has no dict of tensors"):
        read(path, zipped(tensor(storage("0", "Float", 6), [6]), {"0": SIX.tobytes()}))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "old"])
def test_a_file_cut_anywhere_is_an_error(legacy, tmp_path):
    path = tmp_path / "cut.pth"
    content = saved({"a": SIX, "b": np.arange(3)}, legacy)
    for end in range(len(content)):
        with pytest.raises(FileError, match="cut.pth"):
            read(path, content[:end])


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "old"])
def test_a_file_with_a_flipped_bit_is_an_error_or_the_same_arrays(legacy, tmp_path):
    """The old format has no checksum: there numbers, names and shapes may change, not crash."""
    path = tmp_path / "flipped.pth"
    content = bytearray(saved({"a": SIX}, legacy))
    told = 0
    for place in range(len(content)):
        content[place] ^= 1 << place % 8
        try:
            back = read(path, bytes(content))
            assert legacy or np.array_equal(back["a"], SIX)
        except FileError as error:
            assert "flipped.pth" in str(error)
            told += 1
        content[place] ^= 1 << place % 8
    assert told > len(content) / 4


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "old"])
def test_pickles_of_random_bytes_are_errors_and_no_crashes(legacy, tmp_path):
    """Changed before the archive gets its checksum, so that the reader meets them."""
    path, rng = tmp_path / "random.pth", np.random.default_rng(0)
    good = table({"a": tensor(storage("0", "Float", 6, legacy), [2, 3]), "b": b"](NNe"})
    for _ in range(400):
        body = bytearray(good)
        for place in rng.integers(0, len(body), rng.integers(1, 5)):
            body[place] = rng.integers(0, 256)
        rows = {"0": (6, SIX.tobytes())}
        content = (
            in_a_row(bytes(body), rows) if legacy else zipped(bytes(body), {"0": rows["0"][1]})
        )
        try:
            read(path, content)
        except FileError as error:
            assert "random.pth" in str(error)


def test_archives_that_are_no_such_file(tmp_path):
    path = tmp_path / "a.pth"
    body = table({"a": tensor(storage("0", "Float", 6), [6])})
    cases = {
        "compressed": zipped(body, {"0": SIX.tobytes()}, compression=zipfile.ZIP_DEFLATED),
        "TorchScript": zipped(body, {"0": SIX.tobytes()}, extra={"constants.pkl": b""}),
        "2 data.pkl": zipped(body, {}, extra={"x/data.pkl": b""}),
        "neither data.pkl nor": zipped(body, {}).replace(b"data.pkl", b"date.pkl"),
        "byte order": zipped(body, {}, b"middle"),
        "not one of torch.save": b"\x80\x02}.",
        "that no tensor uses": in_a_row(table({}), {"7": (6, SIX.tobytes())}),
        "bytes are left": in_a_row(body, {"0": (2**60, SIX.tobytes())}),
        "numbers, but": in_a_row(body, {"0": (-1, SIX.tobytes())}),
    }
    for words, content in cases.items():
        with pytest.raises(FileError, match=words):
            read(path, content)


def test_an_archive_that_claims_more_than_it_has(tmp_path):
    body = table({"a": tensor(storage("0", "Float", 2**30), [2**30])})
    content = zipped(body, {"0": SIX.tobytes()})
    for old in (struct.pack("<II", 24, 24),):
        assert content.count(old) == 2  # in the entry's own header and in the directory
        content = content.replace(old, struct.pack("<II", 2**31, 2**31))
    with pytest.raises(FileError, match="claims more bytes"):
        read(tmp_path / "a.pth", content)


def test_files_of_pytorch_itself(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not here to write files")
    base = torch.arange(24.0).reshape(4, 6)
    kinds = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8",
             "uint8", "bool", "complex64"]  # fmt: skip
    state = {kind: torch.arange(6).to(getattr(torch, kind)) for kind in kinds}
    state |= {"t": base.t(), "part": base[1:3, 2:4], "column": base[:, 1], "empty": base[:0]}
    state |= {"scalar": torch.tensor(3.5), "parameter": torch.nn.Parameter(torch.ones(2))}
    for new in (True, False):
        path = tmp_path / f"{new}.pth"
        torch.save({"epoch": 1, "model": state}, path, _use_new_zipfile_serialization=new)
        back = read_state(path)
        assert list(back) == list(state)
        for key, value in state.items():
            wide = value.float() if value.dtype == torch.bfloat16 else value
            assert np.array_equal(back[key], wide.detach().numpy())
            assert back[key].dtype == wide.detach().numpy().dtype
