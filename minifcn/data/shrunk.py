"""shrunk: a data set seen k times smaller, as a network sees it that is trained on small images.

    image'[i, j] = mean of the k x k pixels from (k i, k j)      label'[i, j]: one of those k x k

Edge pixels are repeated up to a multiple of k. `infer.Predictor` makes photos smaller the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..images import UInt8, resize_label
from ..shapes import whole
from .classes import Classes
from .loader import Dataset


class Shrunk:
    """`dataset` with every image and label k times smaller; the small ones are kept in memory."""

    def __init__(self, dataset: Dataset, k: int) -> None:
        self.dataset, self.k = dataset, whole("Shrunk", "k", k, 1)
        self._kept: dict[int, tuple[UInt8, UInt8]] = {}

    @property
    def names(self) -> Sequence[str]:
        return self.dataset.names

    @property
    def classes(self) -> Classes:
        return self.dataset.classes

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[UInt8, UInt8]:
        if index not in self._kept:
            image, label = self.dataset[index]
            self._kept[index] = (shrink_image(image, self.k), _shrink_label(label, self.k))
        return self._kept[index]


def shrink_image(image: UInt8, k: int) -> UInt8:
    """The mean of k x k pixels, rounded.   Shape   H W 3 -> ceil(H/k) ceil(W/k) 3"""
    padded = _padded(image, k).astype(np.uint32)
    H, W = padded.shape[:2]
    total = padded.reshape(H // k, k, W // k, k, 3).sum(axis=(1, 3))  # H/k W/k 3
    mean: UInt8 = ((total + k * k // 2) // (k * k)).astype(np.uint8)
    return mean


def _shrink_label(label: UInt8, k: int) -> UInt8:
    padded = _padded(label, k)
    return resize_label(padded, (padded.shape[0] // k, padded.shape[1] // k))


def _padded(array: UInt8, k: int) -> UInt8:
    """Edge pixels repeated at bottom and right, up to multiples of k."""
    H, W = array.shape[:2]
    ends: list[tuple[int, int]] = [(0, -H % k), (0, -W % k), (0, 0)][: array.ndim]
    return np.pad(array, ends, mode="edge")
