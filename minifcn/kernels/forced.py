"""forced: which way of convolving somebody asked for, whatever the twin would choose."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

CPU = (
    "im2col", "taps", "winograd1", "winograd2", "pointwise", "depthwise", "planes", "blocks",
)  # fmt: skip
CUDA = ("im2col", "plain", "depthwise", "tensor")


class _Forced(threading.local):
    algorithm: str | None = None


_forced = _Forced()


@contextmanager
def conv_algorithm(name: str) -> Iterator[None]:
    """Within it, convolutions of this thread take the algorithm `name` wherever it fits.

    A name that only the kernels of another device know changes nothing.

    >>> import numpy as np, minifcn as mf
    >>> x, w = mf.tensor(np.ones((1, 2, 5, 5))), mf.tensor(np.ones((3, 2, 3, 3)))
    >>> with mf.conv_algorithm("taps"):
    ...     mf.functional.conv2d(x, w).shape
    (1, 3, 3, 3)
    """
    if name not in CPU + CUDA:
        known = ", ".join(dict.fromkeys(CPU + CUDA))
        raise ValueError(f"conv_algorithm: name is {name!r}, expected one of {known}")
    outer, _forced.algorithm = _forced.algorithm, name
    try:
        yield
    finally:
        _forced.algorithm = outer


def forced() -> str | None:
    """What `conv_algorithm` asks of this thread."""
    return _forced.algorithm
