"""What where_is_the_hotdog.py needs besides its idea: photos in folders, mosaics of them, pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from minifcn.images import pictures_in, resize_image
from minifcn.infer import Locator, draw_boxes, lay_over, panel

SIDE = 224  # of the squares that the network learns from, in pixels
CROPS = 5  # random ones of each training photo

Photos = tuple[list[Path], np.ndarray]  # and for each whether a hot dog is on it


def photos_of(folder: Path) -> Photos:
    """The photos below folder/other and folder/hotdog, and for each whether it is a hot dog."""
    other, hotdog = (
        pictures_in(folder / name) if (folder / name).is_dir() else []
        for name in ("other", "hotdog")
    )
    return [*other, *hotdog], np.repeat([0.0, 1.0], [len(other), len(hotdog)])


def square(photo: np.ndarray, side: int = SIDE) -> np.ndarray:
    """The square in the middle."""
    H, W, _ = photo.shape
    S = min(H, W)
    top, left = (H - S) // 2, (W - S) // 2
    return resize_image(photo[top : top + S, left : left + S], (side, side))


def middle(photo: np.ndarray) -> np.ndarray:
    """The view that photos are judged by, as on ImageNet: 224 x 224 of a shorter side of 256."""
    H, W, _ = photo.shape
    S = max(1, round(min(H, W) * SIDE / 256))
    top, left = (H - S) // 2, (W - S) // 2
    return resize_image(photo[top : top + S, left : left + S], (SIDE, SIDE))


def views(rng: np.random.Generator, photo: np.ndarray) -> np.ndarray:
    """The middle, the square and its mirror image, and random crops, some mirrored.   V H W 3"""
    whole = square(photo)
    found = [middle(photo), whole, whole[:, ::-1]]
    H, W, _ = photo.shape
    for _ in range(CROPS):
        S = max(1, int(min(H, W) * np.sqrt(rng.uniform(0.35, 1))))
        top, left = rng.integers(H - S + 1), rng.integers(W - S + 1)
        crop = resize_image(photo[top : top + S, left : left + S], (SIDE, SIDE))
        found.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return np.stack(found)


def mosaic(pictures: list[np.ndarray], cols: int = 3, side: int = SIDE) -> np.ndarray:
    """One picture of several photos, row by row.   -> rows side, cols side, 3"""
    squares = [square(picture, side) for picture in pictures]
    rows = [np.concatenate(squares[k : k + cols], axis=1) for k in range(0, len(squares), cols)]
    return np.concatenate(rows)


def tile_means(values: np.ndarray, grid: Any, cols: int = 3, side: int = SIDE) -> np.ndarray:
    """The mean of a map over each tile of a mosaic: over the cells with their middle in it.

    Shape   values: C h w -> tiles C
    """
    row, col = (
        (grid.step[k] * np.arange(values.shape[1 + k]) + grid.centre[k] + 0.5) // side
        for k in (0, 1)
    )
    tile = (row[:, None] * cols + np.minimum(col, cols - 1)).astype(int)
    return np.stack([values[:, tile == k].mean(axis=1) for k in range(int(tile.max()) + 1)])


def chosen_for_page(folder: Path, likely: np.ndarray) -> list[Path]:
    """Nine photos of hot dogs and three of other dishes, evenly over all probabilities."""
    paths, target = photos_of(folder)
    chosen = []
    for kind, count in ((1, 9), (0, 3)):
        of_kind = np.flatnonzero(target == kind)
        ranked = of_kind[np.argsort(-likely[of_kind], kind="stable")]
        places = np.linspace(0, len(ranked) - 1, min(count, len(ranked))).astype(int)
        chosen += [paths[k] for k in ranked[places]]
    return chosen


def page(locator: Locator, pictures: list[np.ndarray], columns: int = 3) -> np.ndarray:
    """Each picture with, beside it, where the hot dog is: heat and boxes."""
    cells = []
    for picture in pictures:
        spot = locator(picture, [1]).spots[0]
        hot = draw_boxes(lay_over(picture, spot.heat), spot.regions)
        cells.append(np.concatenate([picture, hot], axis=1))
    rows = [cells[k : k + columns] for k in range(0, len(cells) // columns * columns, columns)]
    return panel(rows, ["photo | heat and boxes"] * columns)
