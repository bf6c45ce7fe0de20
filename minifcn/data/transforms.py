"""Random changes of an image together with its label, which stays a label: no value is ever mixed.

Each is a frozen value called as t(rng, image, label) -> (image, label). All randomness comes from
`rng`, in a fixed order, so that the same generator gives the same result. Inputs are left alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..images import UInt8, resize_image, resize_label
from ..shapes import ShapeError, real, shown, whole

Pair = tuple[UInt8, UInt8]
Transform = Callable[[np.random.Generator, UInt8, UInt8], Pair]


@dataclass(frozen=True)
class Compose:
    """One transform after the other."""

    transforms: tuple[Transform, ...]

    def __call__(self, rng: np.random.Generator, image: UInt8, label: UInt8) -> Pair:
        for transform in self.transforms:
            image, label = transform(rng, image, label)
        return image, label


@dataclass(frozen=True)
class RandomFlip:
    """Mirror left and right with probability p, top and bottom with probability `vertical`."""

    p: float = 0.5
    vertical: float = 0.0

    def __post_init__(self) -> None:
        for name, p in (("p", self.p), ("vertical", self.vertical)):
            real("RandomFlip", name, p, 0, 1)

    def __call__(self, rng: np.random.Generator, image: UInt8, label: UInt8) -> Pair:
        _check("RandomFlip", image, label)
        sideways, upside_down = rng.random() < self.p, rng.random() < self.vertical
        if sideways:
            image, label = image[:, ::-1], label[:, ::-1]
        if upside_down:
            image, label = image[::-1], label[::-1]
        return image, label


@dataclass(frozen=True)
class RandomCrop:
    """Cut out a window of `size` = (H, W) at a random place.

    A smaller image is first laid at a random place on a ground of its mean colour, labelled `void`.

    Shape   h w 3, h w -> H W 3, H W
    """

    size: tuple[int, int]
    void: int | None = None

    def __post_init__(self) -> None:
        _check_size("RandomCrop", self.size)
        if self.void is not None and not 0 <= self.void <= 255:
            raise ValueError(f"RandomCrop: void is {self.void}, expected a label value in 0..255")

    def __call__(self, rng: np.random.Generator, image: UInt8, label: UInt8) -> Pair:
        _check("RandomCrop", image, label)
        (H, W), (h, w) = self.size, label.shape
        place_y, place_x = rng.random(), rng.random()
        if h < H or w < W:
            image, label = self._extend(image, label, (place_y, place_x))
            h, w = label.shape
        top, left = int(place_y * (h - H + 1)), int(place_x * (w - W + 1))
        window = slice(top, top + H), slice(left, left + W)
        return image[window], label[window]

    def _extend(self, image: UInt8, label: UInt8, place: tuple[float, float]) -> Pair:
        h, w = label.shape
        H, W = max(h, self.size[0]), max(w, self.size[1])
        if self.void is None:
            raise ShapeError(
                f"RandomCrop: image is {h} x {w} (H x W), smaller than size "
                f"{self.size[0]} x {self.size[1]}; give void, the label of what lies around it"
            )
        top, left = int(place[0] * (H - h + 1)), int(place[1] * (W - w + 1))
        wide_image = np.empty((H, W, 3), dtype=np.uint8)
        wide_image[:] = np.rint(image.mean(axis=(0, 1)))
        wide_label = np.full((H, W), self.void, dtype=np.uint8)
        wide_image[top : top + h, left : left + w] = image
        wide_label[top : top + h, left : left + w] = label
        return wide_image, wide_label


@dataclass(frozen=True)
class RandomScale:
    """Resize both sides by one factor in low..high, evenly spread on a logarithmic scale."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high:
            raise ValueError(
                f"RandomScale: low is {self.low} and high {self.high}, expected 0 < low <= high"
            )

    def __call__(self, rng: np.random.Generator, image: UInt8, label: UInt8) -> Pair:
        _check("RandomScale", image, label)
        factor = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        h, w = label.shape
        size = max(1, round(h * factor)), max(1, round(w * factor))
        return resize_image(image, size), resize_label(label, size)


@dataclass(frozen=True)
class Resize:
    """Resize to `size` = (H, W): the image bilinear, antialiased, the label to the nearest pixel.

    Shape   h w 3, h w -> H W 3, H W
    """

    size: tuple[int, int]

    def __post_init__(self) -> None:
        _check_size("Resize", self.size)

    def __call__(self, rng: np.random.Generator, image: UInt8, label: UInt8) -> Pair:
        _check("Resize", image, label)
        return resize_image(image, self.size), resize_label(label, self.size)


@dataclass(frozen=True)
class ColourJitter:
    """Change brightness, contrast and saturation by factors drawn from 1-value .. 1+value.

    x b, then m + (x - m) c with m the mean grey, then g + (x - g) s with g the grey of the pixel
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"ColourJitter: {name} is {value}, expected a number in 0..1")

    def __call__(self, rng: np.random.Generator, image: UInt8, label: UInt8) -> Pair:
        _check("ColourJitter", image, label)
        b, c, s = (
            np.float32(rng.uniform(1 - value, 1 + value))
            for value in (self.brightness, self.contrast, self.saturation)
        )
        x = image.astype(np.float32) * b  # H W 3
        g = x @ LUMA  # H W
        m = g.mean()
        x = m + (x - m) * c
        g = (m + (g - m) * c)[..., None]
        x = g + (x - g) * s
        return np.clip(np.rint(x), 0, 255).astype(np.uint8), label


LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # how bright red, green, blue look


def _check(name: str, image: UInt8, label: UInt8) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ShapeError(
            f"{name}: image is {image.dtype} of shape {image.shape}, expected uint8 H W 3"
        )
    if label.shape != image.shape[:2]:
        raise ShapeError(
            f"{name}: axes 0, 1 (H, W) of label are {label.shape}, "
            f"but those of image are {image.shape[:2]}"
        )


def _check_size(name: str, size: tuple[int, int]) -> None:
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise ShapeError(f"{name}: size is {shown(size)}, expected (height, width)")
    for axis, letter in enumerate("HW"):
        whole(name, f"size[{axis}] ({letter})", size[axis], 1)
