"""explain: which algorithm a convolution and its two gradients take, why, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import numpy as np

from ....shapes import Shape, ShapeError, bind
from ....window import Padding, Window
from ..workspace import workspace_limit
from . import im2col
from .choose import Choice, Problem, choose, forced
from .frame import reach

DIRECTIONS = ("conv2d", "conv_transpose2d", "conv2d_weight")
TILES = 1 << 21  # bytes, about: what the tiles of taps and Winograd keep at once


@dataclass(frozen=True)
class Row:
    """One direction of the triad."""

    role: str  # "forward", "gradient of x", "gradient of weight"
    direction: str
    algorithm: str
    reason: str
    multiply_adds: int
    scratch: int  # bytes, about


@dataclass(frozen=True)
class Explanation:
    """Three rows; printed, they are a table."""

    rows: tuple[Row, ...]

    def __getitem__(self, direction: str) -> Row:
        """The row of "conv2d", "conv_transpose2d" or "conv2d_weight"."""
        return next(row for row in self.rows if row.direction == direction)

    def __str__(self) -> str:
        lines = [f"{'':18}  {'algorithm':10} {'multiply-adds':>14} {'scratch':>9}  why"]
        for row in self.rows:
            size = f"{row.scratch / 2**20:.1f} MiB"
            lines.append(
                f"{row.role:18}  {row.algorithm:10} {row.multiply_adds:14,} {size:>9}  {row.reason}"
            )
        return "\n".join(lines)

    __repr__ = __str__


def explain_choice(
    x_shape: Shape,
    weight_shape: Shape,
    stride: Any = 1,
    padding: Padding = 0,
    dilation: Any = 1,
    groups: int = 1,
    dtype: Any = np.float32,
    transposed: bool = False,
) -> Explanation:
    """Which algorithm the CPU takes for `F.conv2d` of these shapes and for its gradients, and why.

    With `transposed`, for `F.conv_transpose2d`. What `mf.conv_algorithm` forces is told, too.

    >>> import minifcn as mf
    >>> mf.explain_choice((8, 64, 96, 128), (32, 64, 1, 1))["conv2d"].algorithm
    'pointwise'
    """
    given = tuple(x_shape), tuple(weight_shape)
    letters = ("N O P Q" if transposed else "N C H W"), "O C/G KH KW"
    sizes = bind("explain_choice", x=(letters[0], given[0]), weight=(letters[1], given[1]))
    kernel = sizes["KH"], sizes["KW"]
    C = sizes["C/G"] * groups
    if not transposed and C != sizes["C"]:
        raise ShapeError(
            f"explain_choice: axis 1 (C/G) of weight is {sizes['C/G']}, but axis 1 (C) of x is "
            f"{sizes['C']} and groups is {groups}, expected {sizes['C'] // groups}"
        )
    if transposed:
        out = sizes["P"], sizes["Q"]
        window = Window.for_transpose(
            "explain_choice", out, kernel, stride, padding, 0, None, dilation, groups
        )
    else:
        image = sizes["H"], sizes["W"]
        window = Window.for_conv("explain_choice", image, kernel, stride, padding, dilation, groups)
    forward, back, weight = DIRECTIONS[transposed], DIRECTIONS[not transposed], DIRECTIONS[2]
    roles = {forward: "forward", back: "gradient of x", weight: "gradient of weight"}
    dtype = np.dtype(dtype)
    rows = []
    for direction, role in roles.items():
        problem = Problem(direction, sizes["N"], C, sizes["O"], window, dtype.char)
        choice = choose(problem, forced())
        costs = _multiply_adds(choice, problem), _scratch(choice, problem, dtype.itemsize)
        rows.append(Row(role, direction, *choice, *costs))
    return Explanation(tuple(rows))


def _multiply_adds(choice: Choice, problem: Problem) -> int:
    """N O C/G KH KW P Q, less what Winograd saves on whole tiles."""
    _, N, C, O, window, _ = problem
    P, Q = window.image if problem.direction == "conv_transpose2d" else window.out
    each = N * O * (C // window.groups)
    if choice.algorithm == "winograd2":  # 6 x 6 products for 4 x 4 outputs
        return each * 36 * ceil(P / 4) * ceil(Q / 4)
    if choice.algorithm == "winograd1":  # 6 x 3 products for 4 outputs
        return each * 18 * ceil(P / 4) * Q
    return each * prod(window.kernel) * prod(window.out)


def _scratch(choice: Choice, problem: Problem, itemsize: int) -> int:
    """Bytes beside inputs and result, without the frame of an image that has no room."""
    _, N, C, _, window, _ = problem
    pixel = C * prod(window.kernel) * itemsize  # of the columns
    whole = N * prod(window.out) * pixel
    tile = min(max(im2col.TILE, im2col.LEAST * pixel), workspace_limit(), whole)
    if choice.algorithm in ("blocks", "planes"):
        return tile + N * C * prod(reach(window)) * itemsize
    if choice.algorithm == "im2col":
        return tile
    return 0 if choice.algorithm in ("pointwise", "depthwise") else min(TILES, whole)
