"""onnx: networks as ONNX files, and ONNX files as networks that can be trained."""

from .error import OnnxError
from .export import export
from .load import Network, load

__all__ = ["Network", "OnnxError", "export", "load"]
