"""precision: in which numbers the products of a training on a GPU are made.

    float32     as on the CPU
    tf32        operands rounded to 10 bits of fraction, on tensor cores
    float16     products in half precision (see mf.autocast), the loss scaled up on its way back
    bfloat16    the same with the range of float32, so without scaling

Parameters, their gradients, sums and the loss are float32 in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..autocast import LOW, autocast
from ..core import Tensor
from ..modes import mode

PRECISIONS = ("float32", "tf32", *LOW)


@contextmanager
def casting(precision: str, known: list[Tensor]) -> Iterator[None]:
    """For the forward pass and the loss. `known` has the parameters that were cast in the step
    before, which are cast in one launch, and gets those of this one."""
    if precision not in LOW:
        yield
        return
    with autocast(precision):
        region = mode.autocast
        region.prepare(known)
        yield
        known[:] = [one.source for one in region.parameters.values()]


@contextmanager
def tensor_cores(precision: str) -> Iterator[None]:
    """Within it float32 is multiplied as TF32, if that is the precision."""
    if precision != "tf32":
        yield
        return
    from ..kernels.cupy_kernels import precision as setting

    outer = setting.get_float32_matmul_precision()
    setting.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        setting.set_float32_matmul_precision(outer)
