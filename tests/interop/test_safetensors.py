"""safetensors files: what the library writes is read; what is damaged is an error that names it."""

import json
import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minifcn import files
from minifcn.files import FileError
from minifcn.interop import read_state

ARRAYS: dict[str, Any] = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array(7, dtype=np.int64),
    "c": np.zeros((0, 4), np.float16),
    "d": np.array([True, False]),
}


def packed(header, body=b"", length=None):
    """A file from a header (JSON or bytes), its body, and perhaps a lie about its length."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + body


def entry(dtype="F32", shape=(1,), begin=0, end=4, **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end], **more}


def refused(path, content, words=""):
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(FileError) as caught:
            read_state(path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert path.name in str(caught.value) and words in str(caught.value), str(caught.value)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u1", "i1", "u2", "i2", "u4", "i4", "u8",
                                   "i8", "?"])  # fmt: skip
def test_what_the_library_writes_is_read(dtype, tmp_path):
    from safetensors.numpy import save_file

    wanted = np.random.default_rng(0).integers(0, 100, (3, 4)).astype(dtype)
    save_file({"x": wanted, "y": wanted[:0]}, tmp_path / "a.safetensors")
    back = read_state(tmp_path / "a.safetensors")
    assert back["x"].dtype == dtype and np.array_equal(back["x"], wanted)
    assert back["y"].shape == (0, 4)


def test_bfloat16_is_widened(tmp_path):
    upper = np.array([0x3F80, 0xC020, 0x7F80, 0x0001], "<u2")  # 1, -2.5, inf, the smallest
    path = tmp_path / "a.safetensors"
    path.write_bytes(packed({"x": entry("BF16", (4,), 0, 8)}, upper.tobytes()))
    back = read_state(path)["x"]
    assert back.tolist()[:3] == [1.0, -2.5, np.inf] and 0 < back[3] < 1e-40


def test_complex_numbers_are_read(tmp_path):
    """Which the library writes since 0.6."""
    path, wanted = tmp_path / "a.safetensors", np.array([1 + 2j, -3j], "<c8")
    path.write_bytes(packed({"x": entry("C64", (2,), 0, 16)}, wanted.tobytes()))
    assert np.array_equal(read_state(path)["x"], wanted)


def test_files_of_ours_come_back(tmp_path):
    files.save(tmp_path / "a.safetensors", ARRAYS, {"kind": "test", "word": "größe"})
    back, meta = files.load(tmp_path / "a.safetensors")
    assert meta == {"kind": "test", "word": "größe"} and set(back) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert back[name].dtype == array.dtype and np.array_equal(back[name], array)
    assert files.metadata(tmp_path / "a.safetensors").keys() == {files.KEY}


def library_reads(content):
    """Whether the library takes it; it reads what it has a NumPy type for."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load(content)
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError):
        return None


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "a.safetensors"
    files.save(path, {name: ARRAYS[name] for name in ("a.weight", "b")}, {})
    return path.read_bytes()


def test_a_file_cut_anywhere_is_an_error(good, tmp_path):
    for end in range(len(good)):
        (tmp_path / "cut.safetensors").write_bytes(good[:end])
        with pytest.raises(FileError, match="cut.safetensors"):
            read_state(tmp_path / "cut.safetensors")
    refused(tmp_path / "long.safetensors", good + b"\0", "its body has")


def test_every_bit_of_the_header_may_flip(good, tmp_path):
    """An error of ours, or arrays that the library reads just so."""
    path, told = tmp_path / "flipped.safetensors", 0
    head = 8 + int.from_bytes(good[:8], "little")
    for place in range(head):
        for bit in range(8):
            content = bytearray(good)
            content[place] ^= 1 << bit
            path.write_bytes(content)
            try:
                back = read_state(path)
            except FileError as error:
                assert "flipped.safetensors" in str(error)
                told += 1
                continue
            theirs = library_reads(bytes(content))
            assert theirs is not None and set(theirs) == set(back)
            assert all(np.array_equal(theirs[k], back[k], equal_nan=True) for k in back)
    assert told > 4 * head


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_random_headers_never_crash(data, tmp_path):
    numbers = st.one_of(st.integers(-2, 12), st.integers(2**62, 2**65), st.floats(), st.none())
    value = st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(["F32", "F16", "BF16", "F8_E4M3", "X", "", None, 3]),
            "shape": st.one_of(st.lists(numbers, max_size=4), st.none(), st.text(max_size=2)),
            "data_offsets": st.one_of(st.lists(numbers, max_size=3), st.none()),
        }
    )
    header = data.draw(
        st.dictionaries(
            st.one_of(st.text(max_size=3), st.just("__metadata__")),
            st.one_of(value, st.none(), st.lists(st.integers(), max_size=2), st.text(max_size=3)),
            max_size=3,
        )
    )
    path = tmp_path / "random.safetensors"
    path.write_bytes(packed(header, data.draw(st.binary(max_size=16))))
    try:
        read_state(path)
    except FileError as error:
        assert "random.safetensors" in str(error)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=64))
def test_random_bytes_never_crash(content, tmp_path):
    path = tmp_path / "random.bin"
    path.write_bytes(content)
    with pytest.raises(FileError, match="random.bin"):
        read_state(path)


FOUR = b"\0" * 4


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "header claims 0 bytes"),
        (packed({}, length=2**63), "header claims"),
        (packed({}, length=10**8 + 1), "header claims"),
        (packed({}, length=2**40), "header claims"),
        (packed(b"[]"), "is a list"),
        (packed(b"{"  + b"[" * 100_000), "no JSON"),
        (packed(b'{"x":' + b"9" * 10_000 + b"}"), "no JSON"),
        (packed(b"\xff\xfe{}"), "no JSON"),
        (packed(b'{"x": NaN}'), "NaN is no number"),
        (packed(b'{"x": {"shape": [1], "data_offsets": [0, Infinity]}}'), "Infinity"),
        (packed(b'{"a": 1, "a": 2}'), "a name comes twice"),
        (packed({"x": 3}), "'x' is 3"),
        (packed({"x": entry("F8_E4M3", end=1)}, b"\0"), "dtype 'F8_E4M3', expected one of BOOL"),
        (packed({"x": entry("f32")}, FOUR), "dtype 'f32'"),
        (packed({"x": entry(["F32"])}, FOUR), "dtype"),
        (packed({"x": entry("F64")}, FOUR), "F64 of shape [1] takes 8"),
        (packed({"x": entry(shape=(2,))}, FOUR), "takes 8"),
        (packed({"x": entry(shape=(-1,))}, FOUR), "expected a list of counts"),
        (packed({"x": entry(shape=(1.0,))}, FOUR), "expected a list of counts"),
        (packed({"x": entry(shape=(True,))}, FOUR), "expected a list of counts"),
        (packed({"x": entry(shape=[1] * 65)}, FOUR), "expected a list of counts"),
        (packed({"x": entry(shape=(2**62, 4))}, FOUR), "takes"),
        (packed({"x": entry(shape=(0, 2**62, 2**62), end=0)}), "has shape"),
        (packed({"x": entry(begin=4, end=0)}, FOUR), "lies in -4 bytes"),
        (packed({"x": entry(begin=-4, end=0)}, FOUR), "expected two counts"),
        (packed({"x": entry(end=2**64)}, FOUR), "expected two counts"),
        (packed({"x": {"dtype": "F32", "shape": [1]}}, FOUR), "data_offsets None"),
        (packed({"x": entry(), "y": entry()}, FOUR), "overlaps the one before it"),
        (packed({"x": entry(), "y": entry(begin=2, end=6)}, 2 * FOUR), "overlaps"),
        (packed({"x": entry(), "y": entry(begin=8, end=12)}, 3 * FOUR), "leaves a gap"),
        (packed({"x": entry()}, 2 * FOUR), "its body has 8"),
        (packed({"x": entry()}, b""), "its body has 0"),
        (packed({"__metadata__": {"a": 1}}), "no object of words"),
        (packed({"__metadata__": ["a"]}), "no object of words"),
        (packed({"\ud800" * 99: entry("X")}, FOUR), "\\ud800"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(content, words, tmp_path):
    refused(tmp_path / "bad.safetensors", content, words)


@pytest.mark.parametrize("text", ["{", "[]", "NaN", "3", "[" * 100_000])
def test_our_own_words_may_be_damaged_too(text, tmp_path):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(packed({"__metadata__": {files.KEY: text}}))
    with pytest.raises(FileError, match="bad.safetensors: its 'minifcn' metadata is"):
        files.load(path)
