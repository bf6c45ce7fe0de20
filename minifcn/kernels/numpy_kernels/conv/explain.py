"""explain: which algorithm a convolution and its two gradients take, why, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import numpy as np

from ....shapes import Shape, ShapeError, bind, shown, whole
from ....window import Padding, Window
from ...forced import forced
from ..workspace import workspace_limit
from . import depthwise, im2col
from .choose import Choice, Problem, choose
from .frame import reach
from .phases import along

DIRECTIONS = ("conv2d", "conv_transpose2d", "conv2d_weight")
TILES = 3 << 20  # bytes, about: what the tiles of taps and Winograd keep at once


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
    x_shape: Any,
    weight_shape: Any,
    stride: Any = 1,
    padding: Padding = 0,
    dilation: Any = 1,
    groups: int = 1,
    dtype: Any = np.float32,
    transposed: bool = False,
) -> Explanation:
    """Which algorithm the CPU takes for `F.conv2d` of these shapes and for its gradients, and why.

    With `transposed`, for `F.conv_transpose2d`. What `mf.conv_algorithm` forces is told, too. A
    tensor may stand for its shape.

    >>> import minifcn as mf
    >>> mf.explain_choice((8, 64, 96, 128), (32, 64, 1, 1))["conv2d"].algorithm
    'pointwise'
    """
    x, weight = _shape("x_shape", x_shape), _shape("weight_shape", weight_shape)
    letters = "N O P Q" if transposed else "N C H W"
    sizes = bind("explain_choice", x=(letters, x), weight=("O C/G KH KW", weight))
    groups, kernel = whole("explain_choice", "groups", groups, 1), (sizes["KH"], sizes["KW"])
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        raise TypeError(f"explain_choice: dtype is {dtype}, expected a floating type")
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
    forward, back, by_weight = DIRECTIONS[transposed], DIRECTIONS[not transposed], DIRECTIONS[2]
    roles = {forward: "forward", back: "gradient of x", by_weight: "gradient of weight"}
    rows = []
    for direction, role in roles.items():
        problem = Problem(direction, sizes["N"], C, sizes["O"], window, dtype.char)
        choice = choose(problem, forced())
        costs = _multiply_adds(choice, problem), _scratch(choice, problem, dtype.itemsize)
        rows.append(Row(role, direction, *choice, *costs))
    return Explanation(tuple(rows))


def _shape(name: str, given: Any) -> Shape:
    """A shape, or that of a tensor or array."""
    shape = getattr(given, "shape", given)
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"explain_choice: {name} is {shown(given)}, expected four sizes")
    return tuple(whole("explain_choice", name, size, 0) for size in shape)


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
    """Bytes beside inputs and result: frame, tiles, and the weight in another order."""
    _, N, C, O, window, _ = problem
    weight = O * C // window.groups * prod(window.kernel) * itemsize
    pixel = C * prod(window.kernel) * itemsize  # of the columns
    tile = min(max(im2col.TILE, im2col.LEAST * pixel), workspace_limit())
    tile = min(tile, N * prod(window.out) * pixel)
    image = N * C * prod(reach(window)) * itemsize
    if choice.algorithm in ("blocks", "planes"):
        return tile + image + weight
    frame = _frame(problem) * itemsize
    if choice.algorithm == "im2col":
        return tile + frame + weight
    if choice.algorithm == "pointwise":
        return frame
    if choice.algorithm == "depthwise":
        return frame + prod(window.kernel) * depthwise.RUN * itemsize
    tiles = min(TILES, 4 * image)
    if choice.algorithm == "taps" or window.dilation == (1, 1):
        return frame + tiles + weight
    return 2 * frame + tiles + weight + N * O * prod(window.out) * itemsize  # and all sub-grids


def _frame(problem: Problem) -> int:
    """Numbers in the padded copy of what is read; 0 if the room around the pixels is enough."""
    direction, N, C, O, window, _ = problem
    if direction == "conv_transpose2d":
        axes = along(window, 0), along(window, 1)
        channels, have, near = O, window.out, [axis.near for axis in axes]
        size = [axis.size for axis in axes]
    else:
        channels, have, near, size = C, window.image, list(window.pad), list(reach(window))
    spare = [size[axis] - near[axis] - have[axis] for axis in (0, 1)]
    if max(*near, *spare) <= 1 and min(*near, *spare) >= 0:
        return 0
    return N * channels * size[0] * size[1]
