r"""clip: shorten the gradient, all parameters as one vector.

    g := g min(1, max_norm / (|g| + 1e-6)),    |g|^2 = sum of g^2 over parameters and elements

The 1e-6 is PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from .. import kernels
from ..core import Tensor
from ..modes import no_grad
from ..shapes import real, shown

TINY = 1e-6


def clip_grad_norm(params: Iterable[Tensor] | Tensor, max_norm: float) -> float:
    """Scale the gradients so that their common norm is at most `max_norm`; the norm before that.

    A norm of nan makes every gradient nan, as in PyTorch.

    >>> import minifcn as mf
    >>> p = mf.tensor([1.0, 1.0], requires_grad=True)
    >>> (p * mf.tensor([3.0, 4.0])).sum().backward()
    >>> clip_grad_norm(p, 0.5), [round(g, 3) for g in p.grad.tolist()]
    (5.0, [0.3, 0.4])
    """
    max_norm = real("clip_grad_norm", "max_norm", max_norm, 0)
    listed = [params] if isinstance(params, Tensor) else params
    if not isinstance(listed, Iterable):
        raise TypeError(f"clip_grad_norm: params is {shown(params)}, expected parameters")
    listed = list(listed)
    for index, p in enumerate(listed):
        if not isinstance(p, Tensor):
            raise TypeError(f"clip_grad_norm: params[{index}] is {shown(p)}, expected a Tensor")
    norm = math.sqrt(sum(_square(p.grad) for p in listed if p.grad is not None))
    factor = max_norm / (norm + TINY)
    if not factor >= 1:
        with no_grad():
            for p in listed:
                if p.grad is not None:
                    p.grad = p.grad * factor  # not in place: two parameters may share one gradient
    return norm


def _square(g: Tensor) -> float:
    square: float = kernels.of("clip_grad_norm", [g.data]).squared_norm(g.data)
    return square
