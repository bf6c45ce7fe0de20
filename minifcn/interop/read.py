"""read: the arrays of a file of weights, by name, whatever library wrote it.

.safetensors; .pth and .pt of PyTorch, old and new; .npz of NumPy. What a file is, its first bytes
say, not its name. No code is run, whatever the file holds.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

from .. import files
from ..device import Array
from ..files import FileError
from .numpy_files import open_npz
from .pickles import PickleRefused
from .torch_files import LEGACY, TorchFile, open_legacy, open_zip
from .torch_objects import View

# Under these names people put a state dict into a larger dict; the first that is there is taken.
USUAL = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights")


def read_state(path: str | Path, key: str | None = None) -> dict[str, Array]:
    """name -> array, on the host; read-only where that saves a copy.

    float16 stays float16; bfloat16 becomes float32, without loss. Where a .pth file holds a dict
    of several things ({"epoch": 3, "state_dict": ...}) the state dict is found in it; `key` says
    which, if there are several.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"read_state: {path}: no such file")
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(len(LEGACY))
        file.seek(0)
        try:
            if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
                with zipfile.ZipFile(file) as archive:
                    if any(name.endswith("/data.pkl") for name in archive.namelist()):
                        return _state(open_zip(archive, size), key)
                    if all(name.endswith(".npy") for name in archive.namelist()):
                        return open_npz(archive, size)
                    raise PickleRefused("is a zip archive with neither data.pkl nor .npy in it")
            if start == LEGACY:
                return _state(open_legacy(file, size), key)
            if start[:1] == b"\x80" and start[8:9] != b"{":  # else the length of a JSON header
                raise PickleRefused("is a pickle, but not one of torch.save")
        except ValueError as error:
            raise FileError(f"read_state: {path}: {error}") from None
        except _BROKEN as error:
            raise FileError(f"read_state: {path}: is a damaged zip archive ({error})") from None
    return files.read(path)[0]


# What zipfile raises on files that are no whole archives.
_BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError,
    KeyError, OverflowError, OSError,
)  # fmt: skip


def _state(file: TorchFile, key: str | None) -> dict[str, Array]:
    content, where = file.content, "it"
    if key is not None:
        for word in key.split("."):
            if not isinstance(content, dict) or word not in content:
                raise PickleRefused(f"has no {key!r}{_listing(content)}")
            content, where = content[word], key
    if not _tensors(content):
        content, where = _inner(content, where)
    return {name: file.array(view) for name, view in _tensors(content).items()}


def _tensors(content: Any) -> dict[str, View]:
    """The tensors that stand in a dict by name."""
    if not isinstance(content, dict):
        return {}
    return {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, View)}


def _inner(content: Any, where: str) -> tuple[dict[str, Any], str]:
    """The dict of tensors in a dict of other things, one or two levels below."""
    found = {}
    for name, value in content.items() if isinstance(content, dict) else ():
        if _tensors(value):
            found[name] = value
        elif isinstance(value, dict):
            found.update({f"{name}.{k}": v for k, v in value.items() if _tensors(v)})
    usual = [name for name in USUAL if name in found]
    if not found or (len(found) > 1 and not usual):
        what = f"has no dict of tensors{_listing(content)}"
        if found:
            what = f"has several dicts of tensors ({_few(found)}); say which by key"
        raise PickleRefused(what)
    name = usual[0] if usual else next(iter(found))
    return found[name], name


def _listing(content: Any) -> str:
    return f", but {_few(content)}" if isinstance(content, dict) and content else ""


def _few(names: Any) -> str:
    """The first few keys."""
    listed = [f"{name!r:.40}" for name in names]
    return ", ".join(listed[:8]) + (" ..." if len(listed) > 8 else "")
