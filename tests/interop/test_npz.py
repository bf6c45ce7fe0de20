"""Plain .npz files: arrays of numbers, no pickles, no bombs."""

import io
import zipfile
from typing import Any

import numpy as np
import pytest

from minifcn.files import FileError
from minifcn.interop import read_state

ARRAYS: dict[str, Any] = {
    "a": np.arange(6.0).reshape(2, 3),
    "b.weight": np.asfortranarray(np.arange(6, dtype=">f4").reshape(3, 2)),
    "c": np.int64(3),
    "d": np.zeros((0, 2), bool),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back(save, tmp_path):
    save(tmp_path / "a.npz", **ARRAYS)
    back = read_state(tmp_path / "a.npz")
    assert set(back) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert np.array_equal(back[name], array) and back[name].shape == array.shape
        assert back[name].dtype == array.dtype.newbyteorder("=")


def test_objects_are_refused_without_being_made(tmp_path):
    class Bad:
        def __reduce__(self):
            return (pytest.fail, ("code was run",))

    np.savez(tmp_path / "bad.npz", x=np.array([Bad()], dtype=object))
    with pytest.raises(FileError, match="bad.npz: 'x.npy' holds object"):
        read_state(tmp_path / "bad.npz")


def entry(shape, dtype="<f8", data=b""):
    """One .npy with a header of its own."""
    made = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(made, header)
    return made.getvalue() + data


def archive(path, content, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("x.npy", content)
    return path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (entry((2**40,)), "has 0 bytes, but"),
        (entry((2,), data=b"\0" * 8), "has 8 bytes"),
        (entry((-1,), data=b""), "bytes, but"),
        (entry((1,), "<U3", b"\0" * 12), "holds <U3, expected numbers"),
        (entry((1,), [("a", "<f4")], b"\0" * 4), "expected numbers"),
        (b"no npy at all", "magic"),
        (b"\x93NUMPY\x03\x00", "version"),
        (b"\x93NUMPY\x01\x00\xff\xff", "header"),
        (b"\x93NUMPY\x01\x00\x08\x00 __x()\n ", "header"),
    ],
)
def test_what_is_wrong_is_said(content, words, tmp_path):
    with pytest.raises(FileError, match=f"bad.npz.*{words}"):
        read_state(archive(tmp_path / "bad.npz", content))


@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_to_pack_are_refused(way, tmp_path):
    with pytest.raises(FileError, match="bad.npz: 'x.npy' is packed in a way"):
        read_state(archive(tmp_path / "bad.npz", entry((1,), data=b"\0" * 8), way))


def test_a_small_file_may_not_hold_very_much(tmp_path):
    path = archive(tmp_path / "bad.npz", entry((2**22,), data=b"\0" * 2**25))
    content = path.read_bytes()
    size = (2**25 + len(entry((2**22,)))).to_bytes(4, "little")
    assert content.count(size) == 2
    path.write_bytes(content.replace(size, (2**32 - 2).to_bytes(4, "little")))
    with pytest.raises(FileError, match="bad.npz: claims 4294967294 bytes in a file of"):
        read_state(path)


def test_a_cut_file_is_an_error(tmp_path):
    np.savez(tmp_path / "a.npz", **ARRAYS)
    content = (tmp_path / "a.npz").read_bytes()
    for end in range(1, len(content), 7):
        (tmp_path / "cut.npz").write_bytes(content[:end])
        with pytest.raises(FileError, match="cut.npz"):
            read_state(tmp_path / "cut.npz")
