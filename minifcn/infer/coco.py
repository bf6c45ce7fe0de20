"""coco: regions in COCO's result format, which its evaluation and many tools read.

result        {"image_id": int, "category_id": int, "bbox": [x, y, width, height], "score": float}
segmentation  {"size": [H, W], "counts": [...]}: lengths of the runs of pixels that are outside and
              inside by turns, beginning outside, column after column

Source  https://cocodataset.org/#format-results; the counts are COCO's uncompressed form
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .regions import Region

Bools = NDArray[np.bool_]


def coco_results(
    found: Sequence[Region], image_id: int, *, size: tuple[int, int] | None = None
) -> list[dict[str, Any]]:
    """The regions of one photo as COCO results; `size` = (H, W) of the photo adds their masks.

    Classes keep their number: category_id k is class k, 0 the first.
    """
    results = []
    for region in found:
        result: dict[str, Any] = {
            "image_id": image_id,
            "category_id": region.category,
            "bbox": [float(value) for value in region.box],
            "score": round(region.score, 6),
        }
        if size is not None:
            x, y, width, height = region.box
            mask = np.zeros(size, np.bool_)
            mask[y : y + height, x : x + width] = region.mask
            result["segmentation"] = {"size": list(size), "counts": run_lengths(mask)}
        results.append(result)
    return results


def run_lengths(mask: Bools) -> list[int]:
    """How many pixels are outside, inside, outside, ... down each column.

    >>> run_lengths(np.array([[True, False], [True, True]]))
    [0, 2, 1, 1]

    Shape   mask: H W
    """
    flat = mask.T.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths: list[int] = np.diff([0, *edges.tolist(), flat.size]).tolist()
    return [0, *lengths] if flat[0] else lengths


def from_run_lengths(counts: Sequence[int], size: tuple[int, int]) -> Bools:
    """The mask that `run_lengths` wrote.   Shape   -> H W"""
    H, W = size
    if min(counts, default=0) < 0 or sum(counts) != H * W:
        raise ValueError(
            f"from_run_lengths: counts add up to {sum(counts)}, expected lengths >= 0 that add up "
            f"to H W = {H * W}"
        )
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape(W, H).T
