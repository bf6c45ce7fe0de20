"""error: what cannot be written as ONNX, or read from it, said in one place."""

from __future__ import annotations

import importlib


class OnnxError(ValueError):
    """A model that ONNX cannot express, or a file that is no ONNX model which we can run."""


def need(library: str, extra: str) -> None:
    """Say in one sentence what to install, if a library is not there."""
    try:
        importlib.import_module(library)
    except ImportError as error:
        raise OnnxError(f"needs the package {library}; install minifcn[{extra}]") from error
