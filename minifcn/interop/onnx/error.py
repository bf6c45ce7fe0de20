"""error: what cannot be written as ONNX, or read from it, said in one place."""

from __future__ import annotations


class OnnxError(ValueError):
    """A model that ONNX cannot express, or a file that is no ONNX model which we can run."""
