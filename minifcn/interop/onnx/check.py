"""check: run an ONNX file in onnxruntime, to compare."""

from __future__ import annotations

from pathlib import Path

from ...device import Array
from .error import need


def run_elsewhere(path: str | Path, image: Array) -> Array:
    """The first output of a file that `export` wrote, by onnxruntime on the CPU."""
    need("onnxruntime", "onnx-test")
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: Array = session.run(None, {session.get_inputs()[0].name: image})[0]
    return found
