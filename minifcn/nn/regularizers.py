r"""regularizers: penalties on a weight, which the trainer adds to the loss.

L1   f sum |w|          L2   f/2 sum w^2,  whose gradient f w is that of SGD's weight_decay = f
"""

from __future__ import annotations

from dataclasses import dataclass

from ..core import Tensor


@dataclass(frozen=True)
class L1:
    """f sum |w|.   Shape   weight: any -> ()"""

    factor: float

    def __call__(self, weight: Tensor) -> Tensor:
        return weight.abs().sum() * self.factor


@dataclass(frozen=True)
class L2:
    """f/2 sum w^2.   Shape   weight: any -> ()"""

    factor: float

    def __call__(self, weight: Tensor) -> Tensor:
        return (weight * weight).sum() * (0.5 * self.factor)
