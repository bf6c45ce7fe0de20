"""outward: a network as an ONNX graph.

trace    run it, and write down every operator        align   the same at several image sizes
sizes    which numbers follow the image, and how      rules   operator -> ONNX nodes
"""

from . import pointwise, resize, structure, windows
from .rules import RULES

__all__ = ["RULES", "pointwise", "resize", "structure", "windows"]
