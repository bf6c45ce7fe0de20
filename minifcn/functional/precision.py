"""precision: which casts the public functions insert within `mf.autocast`; outside of it none.

lowered    for what runs in half precision: convolutions, matrix products
beside     for a parameter beside an image that may be in half precision
widened    for what needs float32: sums, losses, exponentials
"""

from __future__ import annotations

from ..core import Tensor
from ..device import is_floating, is_half
from ..graph import Node
from ..modes import mode
from .cast import Cast, wide


def lowered(op: str, **tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in the block's half precision, unless one of them is float64.

    A parameter is cast once, until somebody writes to it.
    """
    given = tuple(tensors.values())
    region = mode.autocast
    if region is None or any(x.dtype == "float64" for x in given):
        return given
    for name, x in tensors.items():
        if x.device == "cpu":
            raise RuntimeError(
                f"{op}: {name} is on 'cpu', but autocast to {region.dtype.name} runs on 'cuda' "
                f"only; move it with .to('cuda'), or leave the mf.autocast block"
            )
    return tuple(_low(x) if is_floating(x.dtype) else x for x in given)


def beside(x: Tensor, parameter: Tensor) -> Tensor:
    """The parameter in x's precision, if x is in half precision within an autocast block."""
    if mode.autocast is None or not is_half(x.dtype) or parameter.dtype != "float32":
        return parameter
    return _low(parameter) if x.dtype == mode.autocast.dtype else Cast(x.dtype.name)(parameter)


def widened(x: Tensor) -> Tensor:
    """x, in float32 if it is in half precision within an autocast block."""
    return x if mode.autocast is None else wide(x)


def _low(x: Tensor) -> Tensor:
    region = mode.autocast
    if x.dtype == region.dtype:
        return x
    op = Cast(region.dtype.name)
    if x._node is None or x._node.op is not None:  # no parameter
        return op(x)
    found, recording = region.find(x), mode.recording
    if found is None or (recording and found.kept is None):
        low = op(x)
        region.keep(x, low)
        return low
    node = Node(op, (x._node,), found.kept, found.low) if recording else None
    return Tensor._of(found.low, node, found.version)
