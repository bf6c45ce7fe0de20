"""files: arrays and what they mean, in one safetensors file, written whole or not at all.

    8 bytes    the header's length, little endian
    header     JSON: name -> {dtype, shape, data_offsets: [begin, end]}, "__metadata__": words
    body       the arrays, row by row, without gaps

What `save` writes has one JSON text under the metadata key "minifcn". Nothing that is read runs
code, and nothing is allocated before the sizes that a header claims are held against the file's.

Source  https://huggingface.co/docs/safetensors, section Format
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from .device import Array
from .images import write_aside

KEY = "minifcn"
LONGEST = 100_000_000  # bytes of header, as in the safetensors library

# Little endian. bfloat16 is the upper half of a float32, so that it is widened without loss.
DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
    "U64": "<u8", "I64": "<i8", "F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8",
    "C64": "<c8",
}  # fmt: skip


class FileError(ValueError):
    """A file that is not what it should be, or a damaged one; names the file."""


def save(path: str | Path, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
    """Write `arrays` and the JSON-able `meta`; an interrupted write leaves the old file."""
    from safetensors.numpy import save as encode

    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    data = encode(whole, metadata={KEY: json.dumps(meta)})
    with write_aside(path) as file:
        file.write(data)


def load(path: str | Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and the meta of a file that `save` wrote."""
    arrays, words = read(path)
    if KEY not in words:
        raise FileError(f"load: {path}: has no {KEY!r} metadata; it was not written by minifcn")
    return arrays, _meta(path, words[KEY])


def _meta(path: str | Path, text: str) -> dict[str, Any]:
    try:
        meta = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(f"load: {path}: its {KEY!r} metadata is no JSON ({error})") from error
    if not isinstance(meta, dict):
        raise FileError(f"load: {path}: its {KEY!r} metadata is {meta!r:.60}, expected an object")
    return meta


def read(path: str | Path) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and the metadata of any safetensors file; bfloat16 becomes float32."""
    with _opened(path) as (file, entries, body, words):
        return _arrays(file, entries, body), words


def metadata(path: str | Path) -> dict[str, str]:
    """The metadata alone."""
    with _opened(path) as (_, _, _, words):
        return words


class _BrokenError(Exception):
    """What is wrong, without the file's name."""


Entry = tuple[str, tuple[int, ...], int, int]  # dtype, shape, begin, end


@contextmanager
def _opened(
    path: str | Path,
) -> Iterator[tuple[BufferedReader, dict[str, Entry], int, dict[str, str]]]:
    """The file, what its header says, where its body begins, and its metadata."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"load: {path}: no such file")
    try:
        with open(path, "rb") as file:
            size = path.stat().st_size
            header, body = _header(file, size)
            words = header.pop("__metadata__", {})
            if not isinstance(words, dict) or not all(isinstance(v, str) for v in words.values()):
                raise _BrokenError('"__metadata__" is no object of words')
            entries = {name: _entry(name, value) for name, value in header.items()}
            _check_gapless(entries, size - body)
            yield file, entries, body, words
    except _BrokenError as error:
        raise FileError(f"load: {path}: not a readable safetensors file: {error}") from None


def _arrays(file: BufferedReader, entries: dict[str, Entry], body: int) -> dict[str, Array]:
    arrays = {}
    for name, (dtype, shape, begin, _) in entries.items():
        try:
            array = np.empty(shape, DTYPES[dtype])
        except ValueError as error:  # [0, 2**62, 2**62]: no bytes, and yet too large
            raise _BrokenError(f"{name!r:.60} has shape {shape!r:.60}: {error}") from None
        file.seek(body + begin)
        raw = array.reshape(-1).view(np.uint8).data
        if array.size and file.readinto(raw) != array.nbytes:
            raise _BrokenError(f"it ends inside {name}")
        if dtype == "BF16":
            array = (array.astype("<u4") << 16).view("<f4")
        arrays[name] = array
    return arrays


def _header(file: BufferedReader, size: int) -> tuple[dict[str, Any], int]:
    """The header, and where the body begins."""
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or not 2 <= length <= min(size - 8, LONGEST):
        raise _BrokenError(f"its header claims {length} bytes, the file has {size}")
    text = file.read(length)
    try:
        header = json.loads(text.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _BrokenError(f"its header is no JSON ({error})") from None
    if not isinstance(header, dict):
        raise _BrokenError(f"its header is a {type(header).__name__}, expected an object")
    return header, 8 + length


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name comes twice")
    return content


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def _entry(name: str, value: Any) -> Entry:
    if not isinstance(value, dict):
        raise _BrokenError(f"{name!r:.60} is {value!r:.60}, expected an object")
    dtype, shape, offsets = (value.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise _BrokenError(
            f"{name!r:.60} has dtype {dtype!r:.20}, expected one of {', '.join(DTYPES)}"
        )
    if not _counts(shape) or len(shape) > 32:
        raise _BrokenError(f"{name!r:.60} has shape {shape!r:.60}, expected a list of counts")
    if not _counts(offsets) or len(offsets) != 2:
        raise _BrokenError(f"{name!r:.60} has data_offsets {offsets!r:.60}, expected two counts")
    begin, end = offsets
    nbytes = math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
    if end - begin != nbytes:
        raise _BrokenError(
            f"{name!r:.60} lies in {end - begin} bytes, but {dtype} of shape {shape!r:.60} "
            f"takes {nbytes!r:.20}"
        )
    return dtype, tuple(shape), begin, end


def _counts(value: Any) -> TypeGuard[list[int]]:
    """A list of whole numbers of at least 0 and of at most 63 bits."""
    return isinstance(value, list) and all(type(v) is int and 0 <= v < 2**63 for v in value)


def _check_gapless(entries: dict[str, Entry], size: int) -> None:
    """Every byte of the body belongs to one array."""
    reached = 0
    for name, (_, _, begin, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if begin != reached:
            what = "overlaps the one before it" if begin < reached else "leaves a gap before it"
            raise _BrokenError(f"{name!r:.60} {what}, at byte {begin} of the body")
        reached = end
    if reached != size:
        raise _BrokenError(f"its arrays take {reached} bytes, but its body has {size}")
