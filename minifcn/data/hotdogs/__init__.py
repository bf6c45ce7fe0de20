"""Scenes with hot dogs, drawn on demand: data to train on with nothing to download.

paint.py has the canvas and its shapes, food.py and table.py the things, scene.py their arrangement.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...images import UInt8
from ...shapes import whole
from ..classes import Classes
from .scene import draw

CLASSES = Classes(("background", "hot dog"), ((32, 32, 40), (255, 150, 30)))
HELD_OUT = 1_000_000


@dataclass(frozen=True)
class HotDogs:
    """`count` scenes with pixel masks: 1 = hot dog (bread, sausage and sauce), 0 = everything else.

    Scene i depends on (seed, i, size) alone, to the last bit and on every machine. Train on a seed
    below 1,000,000 and test on `held_out`, whose seed is 1,000,000 higher: the two never meet.
    With `cache` a scene is drawn once and kept.

    Shape   ds[i] -> image H W 3, mask H W; both uint8

    >>> scenes = HotDogs(10)
    >>> image, mask = scenes[3]
    >>> image.shape, mask.shape, scenes.classes.names
    ((96, 128, 3), (96, 128), ('background', 'hot dog'))
    """

    count: int
    size: tuple[int, int] = (96, 128)
    seed: int = 0
    cache: bool = True
    _kept: dict[int, tuple[UInt8, UInt8]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        whole("HotDogs", "count", self.count, 0)
        whole("HotDogs", "seed", self.seed, 0)
        H, W = self.size
        if H < 16 or W < 16:
            raise ValueError(f"HotDogs: size is {H} x {W} (H x W), expected both sides >= 16")

    @property
    def classes(self) -> Classes:
        return CLASSES

    @property
    def names(self) -> list[str]:
        """A name for each scene, for messages and file names."""
        return [f"hotdogs-{self.seed}-{i}" for i in range(self.count)]

    def held_out(self, count: int) -> HotDogs:
        """Scenes for testing, of the same size and kind, none of which a training seed can give."""
        return HotDogs(count, self.size, self.seed + HELD_OUT, self.cache)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> tuple[UInt8, UInt8]:
        if not 0 <= i < self.count:
            raise IndexError(f"HotDogs: scene {i} of {self.count}, expected 0..{self.count - 1}")
        if i in self._kept:
            return self._kept[i]
        image, mask = draw(np.random.default_rng([self.seed, i]), self.size)
        image.flags.writeable = mask.flags.writeable = False
        if self.cache:
            self._kept[i] = image, mask
        return image, mask
