"""How much scratch memory a kernel may take at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["limit_workspace", "workspace_limit"]

_limit = [256 << 20]


def workspace_limit() -> int:
    """Bytes that the columns of one convolution may take; 256 MiB unless set."""
    return _limit[-1]


@contextmanager
def limit_workspace(size: int) -> Iterator[None]:
    """Within it, columns take at most `size` bytes; those of one pixel are the least.

    The results do not depend on it, but for rounding.

    >>> import numpy as np, minifcn as mf
    >>> x, w = mf.tensor(np.ones((1, 2, 5, 5))), mf.tensor(np.ones((3, 2, 3, 3)))
    >>> with mf.limit_workspace(1000):
    ...     mf.functional.conv2d(x, w).shape
    (1, 3, 3, 3)
    """
    if size < 1:
        raise ValueError(f"limit_workspace: size is {size}, expected at least 1 byte")
    _limit.append(int(size))
    try:
        yield
    finally:
        _limit.pop()
