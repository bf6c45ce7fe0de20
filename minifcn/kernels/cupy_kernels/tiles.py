"""tiles: how large a block of cuda/tile.cuh is, for a product of so many rows and columns."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...device import Array

DEPTH = 8  # steps of a tile, as in tile.cuh
PROCESSORS = 132  # of a large GPU; a constant, so that the same shapes give the same bits


class Tile(NamedTuple):
    """The macros of tile.cuh, and what a sum costs in such a tile, about."""

    ROWS: int
    COLS: int
    ACROSS: int
    THREADS: int
    cost: float

    def defines(self) -> dict[str, int]:
        return {
            "ROWS": self.ROWS,
            "COLS": self.COLS,
            "ACROSS": self.ACROSS,
            "THREADS": self.THREADS,
        }

    def blocks(self, rows: int, columns: int) -> int:
        """How many of them cover a product."""
        return -(-rows // self.ROWS) * -(-columns // self.COLS)


# A thread has 8 x 8 sums, 8 x 4 or 4 x 4: the fewer, the more it reads for each product. Only what
# has the registers comes into question: 8 bytes take two of them, and who reads one element at a
# time keeps more addresses.
SMALL = Tile(64, 64, 16, 256, 1.5)
FLAT, NARROW = Tile(128, 32, 8, 256, 1.5), Tile(256, 16, 4, 256, 1.7)
DOUBLE = SMALL, FLAT
SINGLE = Tile(128, 64, 16, 256, 1.2), SMALL, FLAT, NARROW
VECTOR = (
    Tile(128, 128, 16, 256, 1.0), Tile(128, 64, 8, 128, 1.05), Tile(256, 32, 8, 256, 1.25),
    SMALL, NARROW,
)  # fmt: skip
EVERY = tuple(dict.fromkeys(VECTOR + SINGLE + DOUBLE))


@lru_cache(maxsize=4096)
def tile_for(rows: int, columns: int, batch: int, dtype: Any, vectors: tuple[int, int]) -> Tile:
    """The tile with which the busiest multiprocessor is done first."""
    tiles: tuple[Tile, ...] = VECTOR if vectors == (4, 4) else SINGLE
    if dtype.itemsize == 8:
        tiles = DOUBLE

    def time(tile: Tile) -> float:
        most = -(-batch * tile.blocks(rows, columns) // PROCESSORS)
        return most * tile.ROWS * tile.COLS * tile.cost

    return min(tiles, key=time)


def adders(numbers: int, parts: int) -> tuple[int, tuple[int, int]]:
    """Blocks and threads of parts.cuh: eight threads share a number that has many parts."""
    block = (32, 8) if parts >= 32 else (256, 1)
    return -(-numbers // block[0]), block


def vector(x: Array, run: int) -> int:
    """How many elements one load may take, where `run` of them lie together: 4 or 1."""
    start: int = x.data.ptr  # type: ignore[attr-defined]  # CuPy's
    return 4 if run % 4 == 0 and start % 16 == 0 else 1


def wide(dtype: Any) -> Any:
    """The dtype in which sums of elements are made."""
    return np.dtype(np.float32) if dtype.itemsize == 2 else dtype
