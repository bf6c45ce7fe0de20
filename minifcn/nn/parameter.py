"""parameter: a tensor that is trained."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Tensor, tensor

Fans = tuple[int, int]  # (fan_in, fan_out), see init.py


class Parameter(Tensor):
    """A tensor with memory of its own that requires a gradient; a module finds it by its type.

    `fans` says how many inputs meet in one output and how many outputs one input reaches, where the
    layer knows better than the shape does (transposed and grouped convolutions).

    >>> Parameter([1.0, 2.0])
    tensor([1., 2.], dtype=float32, requires_grad=True)
    """

    __slots__ = ("fans",)

    def __init__(self, data: Any, requires_grad: bool = True, fans: Fans | None = None) -> None:
        super().__init__(tensor(data).data, requires_grad)
        self.fans = fans

    def replace(self, data: Any) -> None:
        """Hold another array, of another dtype or on another device; the gradient moves along."""
        wanted, gradient = self.requires_grad, self.grad
        self.requires_grad = False
        self.data = data
        if wanted:
            self.requires_grad = True
            if gradient is not None:
                moved = gradient.detach().astype(np.dtype(data.dtype)).to(self.device)
                self.grad = moved
