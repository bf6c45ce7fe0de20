"""dialects: what other people call the parameters that we name as torchvision does.

A dialect is a table of patterns. Each name of a file is rewritten by the first pattern that
matches it whole; one that no pattern matches keeps its name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """`rules`: (pattern, replacement) in the language of `re`."""

    name: str
    rules: tuple[tuple[str, str], ...]

    def rename(self, name: str) -> str:
        """What we call it."""
        for pattern, replacement in self.rules:
            if found := re.fullmatch(pattern, name):
                return found.expand(replacement)
        return name


def _fires() -> tuple[tuple[str, str], ...]:
    """fire2 .. fire9 of SqueezeNet 1.1 stand between three poolings."""
    places = {2: 3, 3: 4, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11, 9: 12}
    parts = {"squeeze1x1": "squeeze", "expand1x1": "expand1x1", "expand3x3": "expand3x3"}
    return tuple(
        (rf"fire{fire}/{theirs}\.(weight|bias)", rf"features.{place}.{ours}.\1")
        for fire, place in places.items()
        for theirs, ours in parts.items()
    )


def _vgg16() -> tuple[tuple[str, str], ...]:
    """conv1_1 .. conv5_3 of VGG16, counted through with a ReLU after each and a pool per block."""
    places, place = [], 0
    for block, depth in enumerate((2, 2, 3, 3, 3), 1):
        for k in range(1, depth + 1):
            places.append((rf"conv{block}_{k}\.(weight|bias)", rf"features.{place}.\1"))
            place += 2  # the convolution and its ReLU
        place += 1  # the pool
    heads = [(rf"fc{n}\.(weight|bias)", rf"classifier.{k}.\1") for n, k in ((6, 0), (7, 3), (8, 6))]
    return (*places, *heads)


DIALECTS = (
    Dialect("minifcn", ()),
    # DataParallel's, Lightning's, or somebody's own
    Dialect("a wrapper", ((r"(?:(?:module|model|net|network)\.)+(.*)", r"\1"),)),
    Dialect(
        "SqueezeNet 1.1 of its authors",
        ((r"conv1\.(weight|bias)", r"features.0.\1"), *_fires(),
         (r"conv10\.(weight|bias)", r"classifier.1.\1")),
    ),
    Dialect("VGG16 of Caffe", _vgg16()),
)  # fmt: skip


def dialect_of(names: Iterable[str], wanted: Collection[str]) -> Dialect:
    """The dialect in which most of `names` are wanted; the first of equals."""
    names, wanted = list(names), set(wanted)
    return max(DIALECTS, key=lambda d: sum(d.rename(name) in wanted for name in names))
