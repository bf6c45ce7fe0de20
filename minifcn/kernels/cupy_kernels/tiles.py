"""tiles: how large a block of cuda/tile.cuh is, for a product of so many rows and columns."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...device import Array

RESIDENT = 264  # blocks that a large GPU works on at once: two on each of 132 multiprocessors


class Tile(NamedTuple):
    """The macros of tile.cuh, and about what a sum costs, by shared memory read, in such a tile."""

    ROWS: int
    COLS: int
    DEPTH: int
    ACROSS: int
    cost: float

    def defines(self) -> dict[str, int]:
        return {"ROWS": self.ROWS, "COLS": self.COLS, "DEPTH": self.DEPTH, "ACROSS": self.ACROSS}

    def blocks(self, rows: int, columns: int) -> int:
        """How many of them cover a product."""
        return -(-rows // self.ROWS) * -(-columns // self.COLS)


SMALL = (Tile(64, 64, 16, 16, 1.25), Tile(256, 16, 8, 4, 1.5))
LARGE = (Tile(128, 128, 8, 16, 1.0), Tile(128, 64, 16, 16, 1.1), Tile(256, 32, 8, 8, 1.15))


@lru_cache(maxsize=4096)
def tile_for(rows: int, columns: int, batch: int, dtype: Any) -> Tile:
    """The tile that is done first: rounds of blocks, times what one block costs."""
    tiles = SMALL if dtype == np.float64 else LARGE + SMALL  # a double is two registers

    def time(tile: Tile) -> float:
        rounds = -(-batch * tile.blocks(rows, columns) // RESIDENT)
        return rounds * tile.ROWS * tile.COLS * tile.cost

    return min(tiles, key=time)


def vector(x: Array, run: int) -> int:
    """How many elements one load may take, where `run` of them lie together: 4 or 1."""
    return 4 if run % 4 == 0 and x.data.ptr % 16 == 0 else 1


def wide(dtype: Any) -> Any:
    """The dtype in which sums of elements are made."""
    return np.dtype(np.float32) if dtype.itemsize == 2 else dtype
