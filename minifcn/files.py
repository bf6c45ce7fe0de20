"""files: arrays and what they mean, in one safetensors file, written whole or not at all.

The header's metadata holds one JSON text under the key "minifcn". Nothing that is read runs code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .device import Array
from .images import write_aside

KEY = "minifcn"


class FileError(ValueError):
    """A file that is no safetensors file of minifcn, or a damaged one; names the file."""


def save(path: str | Path, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
    """Write `arrays` and the JSON-able `meta`; an interrupted write leaves the old file."""
    from safetensors.numpy import save as encode

    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    data = encode(whole, metadata={KEY: json.dumps(meta)})
    with write_aside(path) as file:
        file.write(data)


def load(path: str | Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and the meta of a file that `save` wrote."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"load: {path}: no such file")
    arrays: dict[str, Array] = {}
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            for name in file.keys():
                arrays[name] = file.get_tensor(name)
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise FileError(f"load: {path}: not a readable safetensors file ({error})") from error
    if KEY not in metadata:
        raise FileError(f"load: {path}: has no {KEY!r} metadata; it was not written by minifcn")
    try:
        meta = json.loads(metadata[KEY])
    except json.JSONDecodeError as error:
        raise FileError(f"load: {path}: its {KEY!r} metadata is no JSON ({error})") from error
    if not isinstance(meta, dict):
        raise FileError(f"load: {path}: its {KEY!r} metadata is {meta!r}, expected an object")
    return arrays, meta
