"""Files as torch.save writes them, made without PyTorch: a few opcodes, a zip archive or a row."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

STORAGES = {"f8": "Double", "f4": "Float", "f2": "Half", "i8": "Long", "?": "Bool", "u1": "Byte"}
MAGIC = 0x1950A86A20F9469CFC6C


def name(module: str, function: str) -> bytes:
    """Any name of any module."""
    return b"c" + f"{module}\n{function}\n".encode()


def text(word: str) -> bytes:
    """A word."""
    data = word.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(n: int) -> bytes:
    """A whole number of up to 255 bytes."""
    data = n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def values(*parts: bytes) -> bytes:
    """A tuple."""
    return b"(" + b"".join(parts) + b"t"


def counts(sizes: Sequence[int]) -> bytes:
    """A tuple of numbers."""
    return values(*(number(n) for n in sizes))


def call(function: bytes, *arguments: bytes) -> bytes:
    """A call."""
    return function + values(*arguments) + b"R"


def table(entries: Mapping[str, bytes]) -> bytes:
    """A dict."""
    return b"}(" + b"".join(text(key) + value for key, value in entries.items()) + b"u"


ORDERED = name("collections", "OrderedDict") + b")R"
FLAG = b"\x89"  # False
REBUILD = name("torch._utils", "_rebuild_tensor_v2")


def storage(key: str, kind: str, count: int, legacy: bool = False) -> bytes:
    """A reference to a storage."""
    more = [b"N"] if legacy else []
    parts = text("storage"), name("torch", f"{kind}Storage"), text(key), text("cpu"), number(count)
    return values(*parts, *more) + b"Q"


def tensor(
    reference: bytes, size: Sequence[int], stride: Sequence[int] | None = None, offset: int = 0
) -> bytes:
    """A tensor that views a storage; the stride is that of C order."""
    if stride is None:
        stride = [int(np.prod(size[axis + 1 :])) for axis in range(len(size))]
    return call(REBUILD, reference, number(offset), counts(size), counts(stride), FLAG, ORDERED)


def whole(body: bytes) -> bytes:
    """A pickle of protocol 2."""
    return b"\x80\x02" + body + b"."


def zipped(
    body: bytes,
    storages: Mapping[str, bytes],
    byteorder: bytes = b"little",
    compression: int = zipfile.ZIP_STORED,
    extra: Mapping[str, bytes] | None = None,
) -> bytes:
    """The format since 1.6."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        archive.writestr("net/data.pkl", whole(body))
        archive.writestr("net/byteorder", byteorder)
        for key, data in storages.items():
            archive.writestr(f"net/data/{key}", data)
        for entry, data in (extra or {}).items():
            archive.writestr(f"net/{entry}", data)
    return made.getvalue()


def in_a_row(body: bytes, storages: Mapping[str, tuple[int, bytes]]) -> bytes:
    """The format before: key -> (count, bytes)."""
    machine = table({"little_endian": b"\x88"})
    keys = b"](" + b"".join(text(key) for key in storages) + b"e"
    head = b"".join(whole(part) for part in (number(MAGIC), number(1001), machine, body, keys))
    return head + b"".join(struct.pack("<q", n) + data for n, data in storages.values())


def saved(arrays: Mapping[str, Any], legacy: bool = False) -> bytes:
    """A state dict of arrays, each with a storage of its own."""
    entries, rows = {}, {}
    for k, (key, array) in enumerate(arrays.items()):
        array = np.asarray(array)
        kind = STORAGES[array.dtype.str.lstrip("<|").replace("b1", "?")]
        entries[key] = tensor(storage(str(k), kind, array.size, legacy), array.shape)
        rows[str(k)] = array.size, array.tobytes()
    if legacy:
        return in_a_row(table(entries), rows)
    return zipped(table(entries), {key: data for key, (_, data) in rows.items()})
