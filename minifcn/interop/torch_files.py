"""torch_files: the two formats of `torch.save`, read without PyTorch.

    since 1.6  a zip archive, stored without compression: NAME/data.pkl, NAME/data/0, 1, ...
               each data/K the bytes of one storage; NAME/byteorder since 2.1
    before     five pickles in a row: a magic number, the version, the machine, the object, the
               keys of its storages; then for each key the count as 8 bytes, and the numbers

In both the object is a pickle in which a tensor refers to a storage by its key; pickles.py reads it
without running code. Sizes are held against the file before anything is allocated.

Source  torch/serialization.py and torch/csrc/jit/serialization of PyTorch, as facts on the format
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import IO, Any

import numpy as np

from ..device import Array
from .pickles import PickleRefused, read_pickle
from .torch_objects import NAMES, Storage, View, harmless, itemsize, storage_of

MAGIC = 0x1950A86A20F9469CFC6C
LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # the pickle of MAGIC begins


class TorchFile:
    """The object of a file, its tensors as views, and where their numbers are.

    `raw` gives the bytes of a storage. They become numbers once per dtype, for all its views.
    """

    def __init__(self, content: Any, raw: Callable[[str], bytes], little: bool) -> None:
        self.content, self.raw, self.little = content, raw, little
        self.found: dict[tuple[str, str], Array] = {}

    def array(self, view: View) -> Array:
        """A tensor's numbers, read-only."""
        key, dtype = where = view.storage.key, view.storage.dtype
        if where not in self.found:
            raw = self.raw(key)
            _check_size(view.storage, len(raw))
            self.found[where] = _typed(raw, dtype, self.little)
        numbers = self.found[where]
        _check_size(view.storage, numbers.size * itemsize(dtype))
        return view.array(numbers)


def open_zip(archive: zipfile.ZipFile, size: int) -> TorchFile:
    """Of a zip archive; it has to stay open until the arrays are taken."""
    entries = {info.filename: info for info in archive.infolist()}
    roots = [name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise PickleRefused(f"is a zip archive with {len(roots)} data.pkl, expected one")
    root = roots[0]
    if f"{root}constants.pkl" in entries:
        raise PickleRefused("is a TorchScript program; save the state_dict() of the model instead")
    packed = [name for name, info in entries.items() if info.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise PickleRefused(
            f"is a compressed zip archive ({packed[0]!r:.60}), expected a stored one"
        )
    if sum(info.file_size for info in entries.values()) > size:
        raise PickleRefused("is a zip archive that claims more bytes than the file has")
    order = archive.read(f"{root}byteorder") if f"{root}byteorder" in entries else b"little"
    if order not in (b"little", b"big"):
        raise PickleRefused(f"has the byte order {order!r:.20}")

    def raw(key: str) -> bytes:
        if f"{root}data/{key}" not in entries:
            raise PickleRefused(f"lacks {f'{root}data/{key}'!r:.60}")
        return archive.read(f"{root}data/{key}")

    text = BytesIO(archive.read(f"{root}data.pkl"))
    return TorchFile(read_pickle(text, NAMES, _storage, harmless), raw, order == b"little")


def open_legacy(file: IO[bytes], size: int) -> TorchFile:
    """Of the old format, from its first byte; it is read to its end."""
    text: Any = _Bounded(file, size)
    if read_pickle(text, {}) != MAGIC:
        raise PickleRefused("is no file of torch.save")
    read_pickle(text, {})  # the version of the format, 1001 since its beginning
    machine = read_pickle(text, {})
    little = not isinstance(machine, dict) or machine.get("little_endian", True)
    used: dict[str, Storage] = {}

    def storage(parts: Any) -> Storage:
        made = _storage(parts)
        if used.setdefault(made.key, made).dtype != made.dtype:
            raise PickleRefused(f"has a storage {made.key!r:.40} of two types")
        return made

    content = read_pickle(text, NAMES, storage, harmless)
    keys = read_pickle(text, {})
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise PickleRefused("has no list of storages")
    found: dict[str, bytes] = {}
    for key in keys:
        count = int.from_bytes(text.read(8), "little" if little else "big")
        step = itemsize(used[key].dtype) if key in used else 0
        if not step:
            raise PickleRefused(f"has a storage {key!r:.40} that no tensor uses")
        if count * step > text.left:
            raise PickleRefused(f"has a storage of {count} numbers, but {text.left} bytes are left")
        found[key] = text.read(count * step)

    def raw(key: str) -> bytes:
        if key not in found:
            raise PickleRefused(f"lacks the storage {key!r:.40}")
        return found[key]

    return TorchFile(content, raw, bool(little))


class _Bounded:
    """A file that never allocates for bytes that it has not."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file, self.left = file, size

    def read(self, count: int = -1) -> bytes:
        """At most `count` bytes."""
        data = self.file.read(min(count, self.left) if count >= 0 else self.left)
        self.left -= len(data)
        return data

    def readline(self) -> bytes:
        """Up to the next newline."""
        data = self.file.readline(self.left)
        self.left -= len(data)
        return data


def _storage(parts: Any) -> Storage:
    try:
        return storage_of(parts)
    except ValueError as error:
        raise PickleRefused(str(error)) from None


def _check_size(storage: Storage, nbytes: int) -> None:
    """The whole storage, which a part of it may not leave."""
    wanted = (storage.start + storage.count) * itemsize(storage.dtype)
    if wanted > nbytes or nbytes % itemsize(storage.dtype):
        raise PickleRefused(
            f"has a storage {storage.key!r:.40} of {nbytes} bytes, but its tensors need {wanted}"
        )


def _typed(raw: bytes, dtype: str, little: bool) -> Array:
    """The bytes as numbers in the order of this machine."""
    if dtype == "?":
        flags: Array = np.frombuffer(raw, np.uint8) != 0
        return flags
    numbers = np.frombuffer(raw, f"{'<' if little else '>'}{'u2' if dtype == 'bf' else dtype}")
    if dtype == "bf":  # the upper half of a float32
        return (numbers.astype(np.uint32) << 16).view(np.float32)
    return numbers.astype(dtype, copy=False)
