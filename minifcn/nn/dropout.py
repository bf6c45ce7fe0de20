"""dropout: layers that forget at random in training. Each draws from a generator of its own."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..core import Tensor
from ..shapes import real
from .activation import not_in_place
from .module import Module
from .seed import stream


class _Dropout(Module):
    def __init__(
        self,
        p: float = 0.5,
        inplace: bool = False,
        *,
        generator: np.random.Generator | None = None,
        seed: int | None = None,
    ) -> None:
        layer = type(self).__name__
        not_in_place(layer, inplace)
        p = real(layer, "p", p, 0, 1)
        if generator is not None and seed is not None:
            raise ValueError(f"{layer}: generator and seed are both given, expected one of them")
        self.p = p
        if seed is not None:
            self.generator = np.random.default_rng(seed)
        elif generator is not None:
            self.generator = stream(generator)
        else:
            self.generator = stream(None).spawn(1)[0]

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout(_Dropout):
    """In training, each element is 0 with probability p, else divided by 1 - p; see F.dropout.

    The mask comes from `generator`, or from a new one of `seed`; without both, from a child of the
    default stream. `Module.random_state` saves where it stands, so that a resumed run draws on.

    Shape   any

    >>> import minifcn as mf
    >>> drop = Dropout(0.5, seed=0)
    >>> sorted(set(drop(mf.tensor([1.0] * 50)).tolist())), drop.eval()(mf.tensor([1.0])).tolist()
    ([0.0, 2.0], [1.0])
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training, generator=self.generator)


class Dropout2d(_Dropout):
    """In training, each whole channel is 0 with probability p, else divided by 1 - p.

    Randomness as in Dropout.

    Shape   x: N C H W -> y: N C H W
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout2d(x, self.p, self.training, generator=self.generator)
