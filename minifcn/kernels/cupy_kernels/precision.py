"""precision: whether convolutions and products of float32 may round their operands to TF32.

Tensor cores multiply float32 only as TF32, a float with 10 bits of fraction instead of 23, and add
the products in float32. That is several times faster, and off by about 5e-4 of the sum of |a b|.
"""

from __future__ import annotations

from ...shapes import one_of

__all__: list[str] = []  # a setting, not a kernel

PRECISIONS = ("highest", "high")


class _Precision:
    """One for the process, as in PyTorch."""

    float32 = "highest"


def set_float32_matmul_precision(precision: str) -> None:
    """What convolutions and matrix products of float32 may do on a GPU.

    "highest" (the default): float32 throughout. "high": operands are rounded to TF32 and multiplied
    on tensor cores, where the card has them (compute capability 8.0). It holds for all threads, and
    changes nothing on the CPU.

    >>> import minifcn as mf
    >>> mf.set_float32_matmul_precision("high")
    >>> mf.get_float32_matmul_precision()
    'high'
    >>> mf.set_float32_matmul_precision("highest")
    """
    _Precision.float32 = one_of("set_float32_matmul_precision", "precision", precision, PRECISIONS)


def get_float32_matmul_precision() -> str:
    """ "highest" or "high"; see set_float32_matmul_precision."""
    return _Precision.float32


def tf32() -> bool:
    """Whether float32 may be rounded to TF32."""
    return _Precision.float32 == "high"
