"""checks: is a gradient right? Against finite differences, against its adjoint, in words.

mf.gradcheck(fn, inputs, order=2)      any function of tensors, any layer, any model
mf.adjoint_check(fn, inputs)           a linear function, to round-off
mf.gradcheck_report(["conv2d"])        the registry, as a table
"""

from .adjoint import adjoint_check
from .cases import Case, cases
from .check import GradientError, PrecisionWarning, gradcheck, gradgradcheck
from .report import Row, gradcheck_report, run, table

__all__ = [
    "Case", "GradientError", "PrecisionWarning", "Row", "adjoint_check", "cases", "gradcheck",
    "gradcheck_report", "gradgradcheck", "run", "table",
]  # fmt: skip
