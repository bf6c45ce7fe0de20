"""error: what cannot be written as ONNX, or read from it, said in one place."""

from __future__ import annotations

from importlib.util import find_spec


class OnnxError(ValueError):
    """A model that ONNX cannot express, or a file that is no ONNX model which we can run."""


def need(library: str, extra: str) -> None:
    """Say in one sentence what to install, if a library is not there."""
    if find_spec(library) is None:
        raise OnnxError(f"needs the package {library}; install minifcn[{extra}]")
