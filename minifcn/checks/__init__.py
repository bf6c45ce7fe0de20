"""checks: is a gradient right? Against finite differences, against its adjoint, in words."""

from .cases import Case, cases

__all__ = ["Case", "cases"]
