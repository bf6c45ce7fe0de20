"""anomaly: find the first operator and layer that made a NaN or an infinity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .device import is_floating, to_host
from .modes import mode


class AnomalyError(FloatingPointError):
    """An operator made a NaN or an infinity."""


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Within it every operator, forward and backward, checks its result.

    The error names the operator, the layer, the first bad element, and whether the inputs were
    still finite. Slow: one more pass over every array.

    >>> import minifcn as mf
    >>> x = mf.tensor([1.0, 0.0], requires_grad=True)
    >>> with mf.detect_anomaly():
    ...     y = x.log()
    Traceback (most recent call last):
    ...
    minifcn.anomaly.AnomalyError: log: element (1,) is -inf (1 of 2 not finite); x: finite, 0 to 1
    """
    outer, mode.trace = mode.trace, _check
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        mode.trace = outer


def _check(op: Any, inputs: Sequence[Any], y: Any) -> None:
    host = to_host(y)
    if not is_floating(host.dtype) or np.isfinite(host).all():
        return
    bad = np.argwhere(~np.isfinite(host))
    element = tuple(int(index) for index in bad[0])
    names = (
        op._inputs
        if len(op._inputs) == len(inputs)
        else [f"input {k}" for k, _ in enumerate(inputs)]
    )
    story = "; ".join(_describe(name, x.data) for name, x in zip(names, inputs, strict=True))
    layer = f" in {mode.layer}" if mode.layer else ""
    raise AnomalyError(
        f"{op.name}{layer}: element {element} is {host[element]} "
        f"({len(bad)} of {host.size} not finite); {story}"
    )


def _describe(name: str, array: Any) -> str:
    host = to_host(array)
    if host.size == 0:
        return f"{name}: empty"
    if not is_floating(host.dtype):
        return f"{name}: {host.dtype}, {host.min()} to {host.max()}"
    bad = int((~np.isfinite(host)).sum())
    if bad:
        return f"{name}: {bad} of {host.size} already not finite"
    return f"{name}: finite, {host.min():.6g} to {host.max():.6g}"
