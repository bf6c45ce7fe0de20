"""inward: an ONNX graph, run by our operators.

proto    a file as a Plan, or all its faults       node     operator -> what runs it, by version
values   tensors on the device, sizes on the host
"""

from . import arithmetic, losses, norms, parts, pointwise, products, reduce, resize, shapes, windows
from .node import OPERATORS

__all__ = [
    "OPERATORS", "arithmetic", "losses", "norms", "parts", "pointwise", "products", "reduce",
    "resize", "shapes", "windows",
]  # fmt: skip
