"""sight: which pixels of the image one pixel of a feature sees.

Pixel i of a feature sees the image pixels  s i + b - r  to  s i + b + r,  along each axis:

    s   stride    image pixels from one feature pixel to the next
    b   offset    the image pixel at its middle, for i = 0; k/2 where the middle is between pixels
    r   reach     how far it sees to each side of that

    after a layer (kernel k, stride t, padding p, dilation d):
        r += s d (k - 1) / 2      b += s (d (k - 1) / 2 - p)      s *= t

The cell of pixel i is s i .. s i + s - 1; `beyond` says how far it looks out of it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sight:
    """s, b and r; that of the image itself is Sight().

    >>> Sight().after(3, stride=2).after(3, stride=2)
    Sight(stride=4, offset=3.0, reach=3.0)
    """

    stride: int = 1
    offset: float = 0.0
    reach: float = 0.0

    def after(self, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Sight:
        """What a pixel sees behind one more layer."""
        half = dilation * (kernel - 1) / 2
        return Sight(
            self.stride * stride,
            self.offset + self.stride * (half - padding),
            self.reach + self.stride * half,
        )

    @property
    def beyond(self) -> int:
        """How many image pixels further than its own cell a pixel sees, on the worse side.

            max(r - b,  r + b - (s - 1))

        >>> Sight().after(3, padding=1).beyond, Sight().after(2, stride=2).beyond
        (1, 0)
        """
        near, far = self.reach - self.offset, self.reach + self.offset - (self.stride - 1)
        return int(max(near, far, 0))
