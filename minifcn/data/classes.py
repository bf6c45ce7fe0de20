"""What the values of a label image mean: class names, colours, and the value that is not scored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..images import FilePath, write_aside

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Classes:
    """Class k of a label image is called names[k] and drawn in colours[k].

    `void` is the value of pixels that count neither in the loss nor in the scores: the last name,
    or a value above all names (255, say). The scored classes are therefore 0 .. count-1. Networks
    may tell apart more than the 256 classes that a label image can hold.

    >>> camvid = Classes(("sky", "road", "unlabelled"), voc_colours(3), void=2)
    >>> camvid.count, camvid.scored
    (2, ('sky', 'road'))
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...] = ()
    void: int | None = None

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("classes: names is empty, expected at least one class name")
        _check_names(self.names)
        if not self.colours:
            object.__setattr__(self, "colours", voc_colours(len(self.names)))
        _check_colours(self.colours, self.names)
        _check_void(self.void, self.names)

    @property
    def count(self) -> int:
        """The number of scored classes: all names but void."""
        return len(self.scored)

    @property
    def scored(self) -> tuple[str, ...]:
        """The names without void."""
        return self.names[: self.void]

    @property
    def values(self) -> tuple[int, ...]:
        """The values that a label pixel may have, in rising order."""
        known = tuple(range(len(self.names)))
        return known if self.void is None or self.void in known else (*known, self.void)

    def palette(self) -> NDArray[np.uint8]:
        """A colour for each of the 256 values of a label pixel.   Shape   -> 256 3"""
        if len(self.names) > 256:
            raise ValueError(
                f"classes: {len(self.names)} names, expected at most 256 (labels are 8 bits)"
            )
        return np.array(self.colours + voc_colours(256)[len(self.names) :], dtype=np.uint8)

    @classmethod
    def load(cls, path: FilePath) -> Classes:
        """Read a JSON file: "names", perhaps "colours" and "void"; other keys are left alone."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"classes: {path}: is not JSON ({error})") from error
        if not isinstance(content, dict) or not isinstance(content.get("names"), list):
            raise ValueError(f'classes: {path}: expected an object with a list "names"')
        colours = content.get("colours", [])
        if not isinstance(colours, list):
            raise ValueError(f'classes: {path}: "colours" is {colours!r}, expected a list')
        try:
            rows = tuple(tuple(row) if isinstance(row, list) else row for row in colours)
            return cls(tuple(content["names"]), rows, content.get("void"))
        except ValueError as error:
            raise ValueError(f"classes: {path}: {str(error).removeprefix('classes: ')}") from None

    def save(self, path: FilePath) -> None:
        """Write the JSON file that `load` reads."""
        content = {"names": self.names, "colours": self.colours, "void": self.void}
        with write_aside(path) as file:
            file.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def voc_colours(count: int) -> tuple[Colour, ...]:
    """The colours of PASCAL VOC: bits 3m, 3m+1, 3m+2 of k are bit 7-m of red, green, blue.

    >>> voc_colours(4)
    ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    """
    return tuple((_channel(k), _channel(k >> 1), _channel(k >> 2)) for k in range(count))


def _channel(k: int) -> int:
    """Bit 3 m of k becomes bit 7 - m."""
    return sum(((k >> (3 * m)) & 1) << (7 - m) for m in range(3))


def _check_names(names: tuple[str, ...]) -> None:
    first: dict[str, int] = {}
    for k, name in enumerate(names):
        if not isinstance(name, str) or not name:
            raise ValueError(f"classes: names[{k}] is {name!r}, expected a word")
        if first.setdefault(name, k) != k:
            raise ValueError(f"classes: names[{k}] is {name!r}, and so is names[{first[name]}]")


def _check_colours(colours: tuple[Colour, ...], names: tuple[str, ...]) -> None:
    if len(colours) != len(names):
        raise ValueError(
            f"classes: {len(colours)} colours for {len(names)} names, expected one for each"
        )
    for k, colour in enumerate(colours):
        whole = isinstance(colour, tuple) and all(type(value) is int for value in colour)
        if not whole or len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
            raise ValueError(
                f"classes: colours[{k}] ({names[k]}) is {colour!r}, "
                f"expected red, green, blue in 0..255"
            )


def _check_void(void: int | None, names: tuple[str, ...]) -> None:
    if void is None:
        return
    if type(void) is not int or not 0 <= void <= 255:
        raise ValueError(f"classes: void is {void!r}, expected a label value in 0..255 or none")
    if void < len(names) - 1:
        raise ValueError(
            f"classes: void is {void} ({names[void]}), but {names[void + 1]} comes after it; "
            f"void must be the last name or a value above all names, "
            f"so that the scored classes are 0..count-1 and match the channels of the network"
        )
    if void == 0:
        raise ValueError("classes: void is 0 and the only name, so that no class is left to score")
