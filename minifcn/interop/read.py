"""read: the arrays of a file of weights, by name, whatever library wrote it."""

from __future__ import annotations

from pathlib import Path

from .. import files
from ..device import Array


def read_state(path: str | Path) -> dict[str, Array]:
    """name -> array of a .safetensors file, on the host; no code is run.

    float16 stays float16, bfloat16 becomes float32 (without loss).
    """
    arrays, _ = files.read(path)
    return arrays
