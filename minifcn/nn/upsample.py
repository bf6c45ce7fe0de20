"""upsample: resizing as a layer."""

from __future__ import annotations

from .. import functional as F
from ..core import Tensor
from ..shapes import Pair
from .module import Module


class Upsample(Module):
    """Resize to `size` or by `scale_factor`; see F.interpolate.

    Shape   x: N C H W -> y: N C P Q, (P, Q) = size or floor(scale_factor (H, W))
    """

    def __init__(
        self,
        size: int | Pair | None = None,
        scale_factor: float | tuple[float, float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        if (size is None) == (scale_factor is None):
            raise ValueError(
                f"Upsample: size is {size} and scale_factor is {scale_factor}, expected one of them"
            )
        self.size, self.scale_factor = size, scale_factor
        self.mode, self.align_corners = mode, align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(
            x,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            self.recompute_scale_factor,
        )

    def extra_repr(self) -> str:
        target = f"size={self.size}" if self.size else f"scale_factor={self.scale_factor}"
        return f"{target}, mode={self.mode!r}"
