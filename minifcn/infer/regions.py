"""regions: from the class of every pixel to things: what, where, how large, how sure.

region   pixels of one class that hang together
box      x, y, width, height: the smallest that holds the region, in pixels from the top left
score    mean (or maximum) of the probability over the region's pixels
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .components import Components, Map, components

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Region:
    """A thing on a photo. `mask` says which pixels of the box are its own.

    Shape   mask: height width of the box
    """

    label: str
    category: int  # the class that `label` names
    box: tuple[int, int, int, int]  # x, y, width, height
    area: int  # in pixels
    score: float
    mask: Bools = field(repr=False, compare=False)


def regions(
    class_map: Map,
    probability: NDArray[np.floating] | None = None,
    *,
    classes: Sequence[str],
    minimum_area: int = 1,
    thresholds: float | Mapping[str, float] = 0.0,
    connectivity: int = 8,
    score: str = "mean",
    clear: Sequence[int] | None = None,
) -> list[Region]:
    """Find the things on a class map, the surest first; of equal ones, the largest.

    `classes` are the names of the classes; those in `clear` (by default what is called
    "background") are no things. Regions of less than `minimum_area` pixels, or with a score below
    the threshold (one number, or one for each name; 0 for names that are not there), are left out.
    `probability` is that of the class in `class_map`; without it every score is 1. A boolean map
    has one class, that of True.

    >>> seen = np.array([[0, 1, 1], [0, 0, 0], [1, 0, 0]])
    >>> for thing in regions(seen, classes=["background", "hot dog"]):
    ...     print(thing.label, thing.box, thing.area)
    hot dog (1, 0, 2, 1) 2
    hot dog (0, 2, 1, 1) 1

    Shape   class_map, probability: H W
    """
    limits = _limits(thresholds, classes)
    _check(class_map, probability, classes, minimum_area, score)
    boolean = class_map.dtype.kind == "b"
    if clear is None:
        clear = [k for k, name in enumerate(classes) if name.lower() == "background"]
    found = components(class_map, connectivity=connectivity, clear=clear)
    scores = np.ones(found.count) if probability is None else _scores(found, probability, score)

    things = []
    for k in np.flatnonzero(found.area >= minimum_area).tolist():
        category = 0 if boolean else int(found.value[k])
        if scores[k] < limits[category]:
            continue
        x, y, width, height = box = tuple(found.box[k].tolist())
        mask = found.labels[y : y + height, x : x + width] == k + 1
        area = int(found.area[k])
        things.append(Region(classes[category], category, box, area, float(scores[k]), mask))
    return sorted(things, key=lambda thing: (-thing.score, -thing.area))


def _scores(found: Components, probability: Map, how: str) -> NDArray[np.float64]:
    """The mean or maximum of the probability over each component.   Shape   -> count"""
    labels, values = found.labels.ravel(), probability.ravel().astype(np.float64)
    if how == "mean":
        total = np.bincount(labels, values, minlength=found.count + 1)[1:]
        return np.minimum(total / found.area, 1.0)  # the sum of many ones is rounded
    most = np.zeros(found.count + 1)
    np.maximum.at(most, labels, values)
    return most[1:]


def _limits(thresholds: float | Mapping[str, float], classes: Sequence[str]) -> list[float]:
    """The threshold of each class."""
    if not isinstance(thresholds, Mapping):
        thresholds = dict.fromkeys(classes, thresholds)
    for name, limit in thresholds.items():
        if name not in classes:
            raise ValueError(
                f"regions: thresholds has {name!r}, expected names among {', '.join(classes)}"
            )
        if not 0 <= limit <= 1:
            raise ValueError(f"regions: threshold of {name} is {limit}, expected 0..1")
    return [thresholds.get(name, 0.0) for name in classes]


def _check(
    class_map: Map,
    probability: Map | None,
    classes: Sequence[str],
    minimum_area: int,
    score: str,
) -> None:
    if score not in ("mean", "max"):
        raise ValueError(f"regions: score is {score!r}, expected 'mean' or 'max'")
    if minimum_area < 1:
        raise ValueError(f"regions: minimum_area is {minimum_area}, expected at least 1 pixel")
    if class_map.dtype.kind == "b":
        if len(classes) != 1:
            raise ValueError(
                f"regions: class_map is boolean, but there are {len(classes)} classes, expected 1"
            )
    elif class_map.size and not 0 <= class_map.min() <= class_map.max() < len(classes):
        wrong = class_map.min() if class_map.min() < 0 else class_map.max()
        raise ValueError(f"regions: class_map has class {wrong}, expected 0..{len(classes) - 1}")
    if probability is None:
        return
    if probability.shape != class_map.shape:
        raise ValueError(
            f"regions: probability has shape {probability.shape}, "
            f"but class_map has {class_map.shape}"
        )
    if not (probability.min() >= 0 and probability.max() <= 1 + 1e-6):  # nan fails too
        raise ValueError(
            f"regions: probability reaches from {probability.min()} to {probability.max()}, "
            f"expected 0..1"
        )
