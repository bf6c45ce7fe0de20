"""study: what a network is made of, seen on paper: coordinates, receptive fields, costs."""

from .cost import Cost, cost, multiply_adds
from .derivation import Derivation, derivation
from .memory import Memory, measured, memory
from .report import report

__all__ = [
    "Cost", "Derivation", "Memory", "cost", "derivation", "measured", "memory", "multiply_adds",
    "report",
]  # fmt: skip
