"""numpy_files: the arrays of an .npz file, as `numpy.savez` writes it, without its pickles."""

from __future__ import annotations

import math
import zipfile

import numpy as np

from ..device import Array

UNPACKED = 1 << 30  # bytes that a compressed file may hold beyond its own size


def open_npz(archive: zipfile.ZipFile, size: int) -> dict[str, Array]:
    """name -> array; each entry's header is held against the entry's size first."""
    entries = archive.infolist()
    claimed = sum(entry.file_size for entry in entries)
    if claimed > size + UNPACKED:
        raise ValueError(f"claims {claimed} bytes in a file of {size}")
    return {entry.filename.removesuffix(".npy"): _array(archive, entry) for entry in entries}


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    name = entry.filename
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{name!r:.60} has version {version} of the npy format")
        read = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
        shape, columns, dtype = read(file)
        if dtype.hasobject or dtype.kind not in "?iufc":
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
