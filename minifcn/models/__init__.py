"""models: networks, and how to build one again from the few values that describe it."""

from .fcn import FCN
from .registry import build
from .small import SmallEncoder

__all__ = ["FCN", "SmallEncoder", "build"]
