"""numpy_files: the arrays of an .npz file, as `numpy.savez` writes it, without its pickles."""

from __future__ import annotations

import math
import zipfile
from tokenize import TokenError
from typing import IO, Any

import numpy as np

from ..device import Array

UNPACKED = 1 << 30  # bytes that a compressed file may hold beyond its own size


def open_npz(archive: zipfile.ZipFile, size: int) -> dict[str, Array]:
    """name -> array; each entry's header is held against the entry's size first."""
    entries = archive.infolist()
    claimed = sum(entry.file_size for entry in entries)
    if claimed > size + UNPACKED:
        raise ValueError(f"claims {claimed} bytes in a file of {size}")
    for entry in entries:
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{entry.filename!r:.60} is packed in a way that NumPy does not use")
    return {entry.filename.removesuffix(".npy"): _array(archive, entry) for entry in entries}


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    name = entry.filename
    with archive.open(entry) as file:
        shape, columns, dtype = _header(name, file)
        if dtype.hasobject or dtype.kind not in "biufc":
            raise ValueError(f"{name!r:.60} holds {dtype}, expected numbers")
        nbytes = math.prod(shape) * dtype.itemsize
        rest = entry.file_size - file.tell()
        if nbytes != rest or not all(n >= 0 for n in shape):
            raise ValueError(f"{name!r:.60} has {rest} bytes, but {dtype} {shape!r:.60}")
        data = file.read(rest)
    if len(data) != nbytes:
        raise ValueError(f"{name!r:.60} ends early")
    flat = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False)
    array: Array = flat.reshape(shape, order="F" if columns else "C")
    return array


def _header(name: str, file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether it goes by columns, and dtype."""
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        version = np.lib.format.read_magic(file)
        if version not in readers:
            raise ValueError(f"version {version}")
        return readers[version](file)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, TokenError) as error:
        raise ValueError(f"{name!r:.60} has no readable npy header ({str(error)[:80]})") from None
