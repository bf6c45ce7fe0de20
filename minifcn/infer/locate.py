"""locate: a classifier that says what becomes a network that says where.

photo H W 3 -> resized, its shorter side to `side` -> class map K h w, before any last mean over it
            -> means over windows, softmax (heat.py) -> heat of a class, H W
            -> where it is at least `threshold`: regions with boxes (regions.py)

The classifier is not trained again, and nobody ever told it where anything is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Tensor
from ..device import to_device, to_host
from ..images import UInt8, resize_image
from ..modes import no_grad
from .heat import Axis, Floats, softmax, spread, window_softmax
from .memory import PROBE_SIDE, measure_bytes_per_pixel
from .regions import Region, regions
from .tiles import MEMORY_LIMIT, plan

SIDE = 384
LONGEST = 16  # times `side`: photos that are even longer and thinner are shown smaller

Normalize = Callable[[UInt8], NDArray[np.float32]]


@dataclass(frozen=True)
class Spot:
    """Where one class is on a photo.

    Shape   heat: H W, the probability of the class around each pixel
    """

    label: str
    category: int
    heat: Floats
    peak: tuple[int, int]  # x, y of the place that is surest
    score: float  # the probability there
    regions: list[Region]


@dataclass(frozen=True)
class Located:
    """What a classifier sees on a photo, and where.

    Shape   likely: K, the probability of each class for the photo as a whole
    """

    likely: Floats
    spots: list[Spot]


@dataclass(frozen=True)
class Locator:
    """`model` has `class_map(x)`: N C H W -> N K h w, and `grid`: where its cells lie.

    `side` is the shorter side of what the network sees, in pixels; the longer goes with it, up to
    16 times as much. Small photos are enlarged; None: each as it is. The larger, the
    smaller the things that are found, and the less of a large one is seen at a time. Whatever needs
    more than `memory_limit` bytes goes by tiles, with the same result. `window` is the side of the
    windows of heat.py, in cells. A region has at least `threshold` everywhere, and at least
    `minimum_share` of the photo's pixels; its score is the most in it.
    """

    model: Any
    names: Sequence[str]
    normalize: Normalize
    side: int | None = SIDE
    window: int = 7
    threshold: float = 0.5
    minimum_share: float = 0.005
    memory_limit: int = MEMORY_LIMIT

    def __post_init__(self) -> None:
        lacks = [name for name in ("class_map", "grid") if not hasattr(self.model, name)]
        if lacks:
            raise TypeError(
                f"locate: model is a {type(self.model).__name__} without {' and '.join(lacks)}, "
                f"expected a classifier with a map of classes: SqueezeNet, or models.convolutionize"
            )
        if self.side is not None and self.side < 1:
            raise ValueError(f"locate: side is {self.side}, expected at least 1 pixel, or None")
        for name in ("threshold", "minimum_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"locate: {name} is {getattr(self, name)}, expected 0..1")

    def __call__(self, photo: UInt8, categories: Sequence[int]) -> Located:
        """Where on a photo of any size each of these classes is.

        Shape   photo: H W 3
        """
        for category in categories:
            if not 0 <= category < len(self.names):
                raise ValueError(
                    f"locate: category is {category}, expected 0..{len(self.names) - 1}"
                )
        grid, size, view = self.model.grid, photo.shape[:2], self.view(photo)
        class_map = self.class_map(view)
        likely = softmax(class_map.mean(axis=(1, 2)))
        around = window_softmax(class_map, self.window, categories)  # c h w
        seen = fitted(size, self.side)
        rows, columns = (
            Axis(grid.centre[a], grid.step[a]).scaled(size[a] / seen[a]) for a in (0, 1)
        )
        spots = [
            self._spot(category, heat, rows, columns, size)
            for category, heat in zip(categories, around, strict=True)
        ]
        return Located(likely, spots)

    def view(self, photo: UInt8) -> UInt8:
        """What the network sees of a photo: resized; a thin one's edge pixels are repeated.

        Shape   photo: H W 3 -> h w 3
        """
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
            raise ValueError(
                f"locate: photo is {photo.dtype} of shape {photo.shape}, expected uint8 H W 3, "
                f"both sides >= 1"
            )
        size = fitted(photo.shape[:2], self.side)
        seen = photo if size == photo.shape[:2] else resize_image(photo, size)
        least = getattr(self.model, "least", (0, 0))
        missing = [max(2 * self._stride - S, n - S, 0) for S, n in zip(size, least, strict=True)]
        if not any(missing):
            return seen
        return np.pad(seen, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")

    def class_map(self, view: UInt8) -> NDArray[Any]:
        """The scores of every class at every cell, by tiles if it is large.

        Shape   view: H W 3 -> K h w
        """
        H, W, _ = view.shape
        pixels = float("inf")
        if H * W > PROBE_SIDE**2:
            pixels = self.memory_limit / self.bytes_per_pixel
        s, margin = self._stride, self.model.grid.reach
        tiles = plan((H, W), stride=s, margin=margin, pixels=pixels)
        bands = []
        for i in tiles[0]:
            band = []
            for j in tiles[1]:
                y = self._forward(self.normalize(view[i.window, j.window])[None])[0]  # K h w
                inner = [
                    slice(line.inner.start // s, None if line.last == S else line.inner.stop // s)
                    for line, S in ((i, H), (j, W))
                ]
                band.append(y[:, inner[0], inner[1]])
            bands.append(np.concatenate(band, axis=2))
        return np.concatenate(bands, axis=1)

    @cached_property
    def bytes_per_pixel(self) -> float:
        """What the network needs at its peak per pixel of its image; measured once."""
        self.model.eval()
        return measure_bytes_per_pixel(self._forward, stride=self._stride, device=self._device)

    @property
    def _stride(self) -> int:
        return int(self.model.grid.step[0])

    @property
    def _device(self) -> str:
        device: str = next(iter(self.model.parameters())).device
        return device

    def _forward(self, x: NDArray[Any]) -> NDArray[Any]:
        self.model.eval()
        with no_grad():
            y = self.model.class_map(Tensor(to_device(np.ascontiguousarray(x), self._device)))
        return to_host(y.data)

    def _spot(
        self, category: int, heat: Floats, rows: Axis, columns: Axis, size: tuple[int, int]
    ) -> Spot:
        i, j = np.unravel_index(int(heat.argmax()), heat.shape)
        place = [line.first + k * line.step for line, k in ((rows, i), (columns, j))]
        y, x = (int(np.clip(round(p), 0, S - 1)) for p, S in zip(place, size, strict=True))
        spread_out = spread(heat, rows, columns, size)
        name = self.names[category]
        found = regions(
            spread_out >= self.threshold,
            spread_out,
            classes=[name],
            minimum_area=max(1, round(self.minimum_share * spread_out.size)),
            score="max",
        )
        found = [replace(region, category=category) for region in found]
        return Spot(name, category, spread_out, (x, y), float(heat[i, j]), found)


def fitted(size: tuple[int, int], side: int | None) -> tuple[int, int]:
    """The size H W that a photo is shown in: its shorter side is `side`, unless it is a thin line.

    >>> fitted((480, 640), 240), fitted((1, 1), 320), fitted((2, 60000), 320)
    ((240, 320), (320, 320), (1, 5120))
    """
    H, W = size
    if side is None:
        return H, W
    factor = min(side / min(H, W), LONGEST * side / max(H, W))
    return max(1, round(factor * H)), max(1, round(factor * W))
