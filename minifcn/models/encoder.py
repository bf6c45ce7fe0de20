"""encoder: what a network knows about the features it makes, so that others can stand on it.

    channels   C of each feature, finest first
    strides    image pixels from one of its cells to the next
    offsets    the image pixel around which its first cell lies; (s - 1)/2 if it fills its part of
               the image, 0 if it lies on the image's first pixel
    radius     how far, in image pixels, the deepest feature sees beyond  s i .. s i + s - 1

All but the channels are derived from the layers, see coordinates.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn
from ..core import Tensor
from ..shapes import ShapeError, bind
from .coordinates import Grid


class Encoder(nn.Module):
    """A module that gives a list of features, finest first.

    Shape   x: N C H W -> [N channels_k H_k W_k for k = 0, 1, ...]
    """

    config: dict[str, Any]
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    offsets: tuple[float, ...]
    radius: int

    def lies(self, channels: Sequence[int], grids: Sequence[Grid]) -> None:
        """Write down where the cells of each feature lie."""
        self.channels = tuple(channels)
        self.strides = tuple(int(grid.step[0]) for grid in grids)
        self.offsets = tuple(grid.centre[0] for grid in grids)
        self.radius = max(grid.reach for grid in grids)


def at_least(model: str, x: Tensor, smallest: int) -> None:
    """Refuse images that are too small for a model, or no images at all."""
    sizes = bind(model, x=("N C H W", x.shape))
    for axis, letter in ((2, "H"), (3, "W")):
        if sizes[letter] < smallest:
            raise ShapeError(
                f"{model}: axis {axis} ({letter}) of x is {sizes[letter]}, expected at least "
                f"{smallest}"
            )


def child(generator: np.random.Generator | None) -> np.random.Generator | None:
    """A generator of its own for a layer that draws while it works; None stays None."""
    return None if generator is None else generator.spawn(1)[0]
