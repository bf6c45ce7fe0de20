"""onnx: networks as ONNX files, and ONNX files as networks that can be trained."""

from .error import OnnxError
from .export import export

__all__ = ["OnnxError", "export"]
