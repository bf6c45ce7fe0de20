"""overlay: the classes of a photo drawn over it, with what share of it each takes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..images import UInt8
from .drawing import Colour
from .legend import Entry, with_legend

Labels = NDArray[np.integer[Any]]


class Named(Protocol):
    """What a figure needs to know of the classes: minifcn.data.Classes, or anything like it."""

    @property
    def names(self) -> Sequence[str]:
        """The name of each class."""

    @property
    def colours(self) -> Sequence[Colour]:
        """The colour of each class: red, green, blue in 0..255."""


def figure(
    image: UInt8, class_map: Labels, classes: Named, *, alpha: float = 0.5, outline: bool = True
) -> UInt8:
    """Draw the classes over the photo, and a legend of those that occur, the largest first.

    A class called "background" is left as the photo shows it.

    Shape   image: H W 3, class_map: H W -> a larger picture h w 3
    """
    clear = background(classes)
    drawn = overlay(image, class_map, classes.colours, alpha=alpha, clear=clear, outline=outline)
    share = shares(class_map, classes.names)
    present = np.unique(class_map).tolist()
    present.sort(key=lambda k: -share[classes.names[k]])
    entries = [
        Entry(
            colour=None if k in clear else classes.colours[k],
            name=classes.names[k],
            value=percent(share[classes.names[k]]),
        )
        for k in present
    ]
    return with_legend(drawn, entries)


def background(classes: Named) -> list[int]:
    """The classes that are called "background", in whatever case."""
    return [k for k, name in enumerate(classes.names) if name.lower() == "background"]


def overlay(
    image: UInt8,
    class_map: Labels,
    colours: Sequence[Colour],
    *,
    alpha: float = 0.5,
    clear: Collection[int] = (),
    outline: bool = True,
) -> UInt8:
    """Mix the photo with the colour of each pixel's class.

        y_ij = (1 - alpha) image_ij + alpha colours[class_ij]

    Pixels of the classes in `clear` stay as they are. `outline` draws the border of each class in
    its full colour.

    Shape   image: H W 3, class_map: H W -> H W 3
    """
    from PIL import Image

    _check(image, class_map, len(colours))
    if not 0 <= alpha <= 1:
        raise ValueError(f"overlay: alpha is {alpha}, expected 0..1")
    paint = np.array(colours, np.uint8)[class_map]
    photo = Image.fromarray(np.ascontiguousarray(image))
    mixed = np.array(Image.blend(photo, Image.fromarray(paint), alpha))
    if outline:
        line = borders(class_map, width=max(1, round(max(class_map.shape) / 640)))
        mixed[line] = paint[line]
    bare = np.isin(class_map, list(clear))
    mixed[bare] = image[bare]
    return mixed


def borders(class_map: Labels, width: int = 1) -> NDArray[np.bool_]:
    """The pixels with another class at most `width` pixels above, below, left or right of them.

    Shape   H W -> H W
    """
    line = np.zeros(class_map.shape, np.bool_)
    for d in range(1, width + 1):
        rows = class_map[d:] != class_map[:-d]
        line[d:] |= rows
        line[:-d] |= rows
        columns = class_map[:, d:] != class_map[:, :-d]
        line[:, d:] |= columns
        line[:, :-d] |= columns
    return line


def shares(class_map: Labels, names: Sequence[str]) -> dict[str, float]:
    """The share of all pixels that each class takes; 0 for a class that does not occur.

        share_k = number of pixels of class k / number of pixels

    Shape   class_map: H W
    """
    _check_range("shares", class_map, len(names))
    count = np.bincount(class_map.ravel(), minlength=len(names))
    return {name: int(n) / class_map.size for name, n in zip(names, count, strict=True)}


def percent(share: float) -> str:
    """A share for people: "12.3 %", and "<0.1 %" for what is small but there."""
    return "<0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"


def _check(image: UInt8, class_map: Labels, K: int) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"overlay: image is {image.dtype} of shape {image.shape}, expected uint8 H W 3"
        )
    for axis, letter in enumerate("HW"):
        if class_map.ndim != 2 or class_map.shape[axis] != image.shape[axis]:
            raise ValueError(
                f"overlay: class_map has shape {class_map.shape}, but axis {axis} ({letter}) of "
                f"image {image.shape} is {image.shape[axis]}"
            )
    _check_range("overlay", class_map, K)


def _check_range(function: str, class_map: Labels, K: int) -> None:
    if class_map.size == 0 or class_map.dtype.kind not in "iu":
        raise ValueError(
            f"{function}: class_map is {class_map.dtype} of shape {class_map.shape}, "
            f"expected integers of at least one pixel"
        )
    least, most = int(class_map.min()), int(class_map.max())
    if least < 0 or most >= K:
        wrong = least if least < 0 else most
        raise ValueError(f"{function}: class_map has class {wrong}, expected 0..{K - 1}")
