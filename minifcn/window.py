"""window: the geometry shared by convolution, transposed convolution, pooling, unfold and fold.

Which image pixel meets which kernel tap for which output pixel:

    (i, j), (u, v)  ->  (s i + d u - p,  s j + d v - p)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from .shapes import AXES, Pair, ShapeError, pair, whole

Sides = tuple[Pair, Pair]  # ((top, bottom), (left, right))
Padding = int | Sequence[int] | Sequence[Sequence[int]] | str

SMALL_AXES = ("2 (P)", "3 (Q)")


def sides(op: str, padding: object) -> Sides:
    """int | (h, w) | ((top, bottom), (left, right)) as ((top, bottom), (left, right))."""
    if isinstance(padding, (tuple, list)):
        nested = [isinstance(side, (tuple, list)) for side in padding]
        lengths = {len(side) for side in padding if isinstance(side, (tuple, list))}
        if len(nested) != 2 or any(nested) != all(nested) or not lengths <= {2}:
            raise ShapeError(
                f"{op}: padding is {padding!r}, expected one number, (height, width) or "
                f"((top, bottom), (left, right))"
            )
        if all(nested):
            return _ends(op, 0, padding[0]), _ends(op, 1, padding[1])
    high, wide = pair(op, "padding", padding, 0)
    return (high, high), (wide, wide)


def _ends(op: str, axis: int, ends: Sequence[object]) -> Pair:
    before, after = (f"padding {place} axis {AXES[axis]}" for place in ("before", "after"))
    return whole(op, before, ends[0], 0), whole(op, after, ends[1], 0)


def span(kernel: int, dilation: int) -> int:
    """Pixels from the first to the last tap:  d (K - 1) + 1."""
    return dilation * (kernel - 1) + 1


def split_pad(total: int, word: str) -> Pair:
    """TensorFlow's "same" puts the odd pixel at the end, "same_lower" at the start."""
    small, large = total // 2, total - total // 2
    return (small, large) if word == "same" else (large, small)


def pad_word(op: str, word: str) -> str:
    """`word`, if it is one of the padding words."""
    if word not in ("valid", "same", "same_lower"):
        raise ShapeError(f"{op}: padding is {word!r}, expected 'valid', 'same' or 'same_lower'")
    return word


@dataclass(frozen=True)
class Window:
    """Which image pixel meets tap (u, v) for output pixel (i, j):  (s i + d u - p,  s j + d v - p).

    Both sizes are stored, since neither follows from the other: with stride 3 and kernel 2, images
    of 8, 9 and 10 pixels all give 3. `pad` is (top, left); the far pads follow, perhaps negative.
    """

    image: Pair  # H W
    out: Pair  # P Q
    kernel: Pair  # KH KW
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    pad: Pair = (0, 0)
    groups: int = 1

    @property
    def far_pad(self) -> Pair:
        """Zeros needed below and to the right:  s (P - 1) + d (K - 1) + 1 - H - p;  may be < 0."""
        return self._end(0), self._end(1)

    def _end(self, axis: int) -> int:
        reach = self.stride[axis] * (self.out[axis] - 1) + span(
            self.kernel[axis], self.dilation[axis]
        )
        return reach - self.image[axis] - self.pad[axis]

    def taps(self) -> Iterator[Pair]:
        """All (u, v) in row order."""
        for u in range(self.kernel[0]):
            for v in range(self.kernel[1]):
                yield u, v

    def grouped(self, groups: int) -> Window:
        """The same geometry with another number of groups."""
        return replace(self, groups=groups)

    @staticmethod
    def for_conv(
        op: str,
        image: Pair,
        kernel: Pair,
        stride: object = 1,
        padding: object = 0,
        dilation: object = 1,
        groups: int = 1,
        round_up: bool = False,
        name: str = "x",
    ) -> Window:
        """Geometry of a convolution or pooling:  P = floor((H + pads - d (K-1) - 1) / s) + 1.

        `round_up` is pooling's ceil_mode; as in PyTorch, a last window must start inside the image
        or its near padding. "same": P = ceil(H / s), the odd pixel of padding at bottom and right.
        """
        s, d = pair(op, "stride", stride, 1), pair(op, "dilation", dilation, 1)
        pads = _conv_pads(op, padding, image, kernel, s, d)
        out = [0, 0]
        for axis in (0, 1):
            reach, padded = span(kernel[axis], d[axis]), image[axis] + sum(pads[axis])
            room = padded - reach
            steps = -(-room // s[axis]) if round_up else room // s[axis]
            if steps < 0 or image[axis] < 0:
                raise ShapeError(
                    f"{op}: axis {AXES[axis]} of {name} is {image[axis]}, {padded} with "
                    f"{pads[axis][0]} + {pads[axis][1]} padding, expected at least {reach}, the "
                    f"span of kernel {kernel[axis]} with dilation {d[axis]}"
                )
            if round_up and steps * s[axis] >= image[axis] + pads[axis][0]:
                steps -= 1
            out[axis] = steps + 1
        near = (pads[0][0], pads[1][0])
        return Window(image, (out[0], out[1]), kernel, s, d, near, groups)

    @staticmethod
    def for_transpose(
        op: str,
        out: Pair,
        kernel: Pair,
        stride: object = 1,
        padding: object = 0,
        output_padding: object = 0,
        output_size: object = None,
        dilation: object = 1,
        groups: int = 1,
    ) -> Window:
        """Geometry of a transposed convolution, whose input is the window's `out`.

        H = s (P - 1) + d (K - 1) + 1 - top - bottom + output_padding; "same": H = s P; "valid":
        H = s P + max(d (K-1) + 1 - s, 0). `output_size` chooses among the H that a convolution of
        the same arguments maps back to P.
        """
        s, d = pair(op, "stride", stride, 1), pair(op, "dilation", dilation, 1)
        extra = pair(op, "output_padding", output_padding, 0)
        asked = None if output_size is None else pair(op, "output_size", output_size, 0)
        if asked is not None and extra != (0, 0):
            raise ShapeError(
                f"{op}: output_padding is {extra} and output_size is {asked}, expected one of them"
            )
        if isinstance(padding, str):
            if extra != (0, 0):
                raise ShapeError(
                    f"{op}: output_padding is {extra}, but padding {padding!r} fixes the size; "
                    f"use output_size"
                )
            solve = _word_solver(op, pad_word(op, padding))
        else:
            solve = _number_solver(op, sides(op, padding), extra)
        image, near = [0, 0], [0, 0]
        for axis in (0, 1):
            wish = None if asked is None else asked[axis]
            image[axis], near[axis] = solve(axis, out[axis], span(kernel[axis], d[axis]), s[axis],
                                            d[axis], wish)  # fmt: skip
        return Window((image[0], image[1]), out, kernel, s, d, (near[0], near[1]), groups)


def _conv_pads(
    op: str, padding: object, image: Pair, kernel: Pair, stride: Pair, dilation: Pair
) -> Sides:
    if not isinstance(padding, str):
        return sides(op, padding)
    word = pad_word(op, padding)
    if word == "valid":
        return (0, 0), (0, 0)
    pads = []
    for axis in (0, 1):
        out = math.ceil(image[axis] / stride[axis])
        reach = stride[axis] * (out - 1) + span(kernel[axis], dilation[axis])
        pads.append(split_pad(max(reach - image[axis], 0), word))
    return pads[0], pads[1]


# (axis, P, span, s, d, wished H or None) -> (H, pad before)
Solver = Callable[[int, int, int, int, int, int | None], Pair]


def _word_solver(op: str, word: str) -> Solver:
    def solve(axis: int, out: int, reach: int, s: int, d: int, wish: int | None) -> Pair:
        if word == "valid":
            default, least = s * out + max(reach - s, 0), s * (out - 1) + reach
            possible = range(least, least + s)
        else:
            default = s * out
            possible = range(max(default - s + 1, 0), default + 1)
        size = _choose(op, axis, out, default if wish is None else wish, possible)
        before = split_pad(max(s * (out - 1) + reach - size, 0), word)[0]
        return size, 0 if word == "valid" else before

    return solve


def _number_solver(op: str, pads: Sides, extra: Pair) -> Solver:
    def solve(axis: int, out: int, reach: int, s: int, d: int, wish: int | None) -> Pair:
        if extra[axis] >= max(s, d):
            raise ShapeError(
                f"{op}: output_padding along axis {AXES[axis]} is {extra[axis]}, expected less "
                f"than stride {s} or dilation {d}"
            )
        least = s * (out - 1) + reach - sum(pads[axis])
        if wish is not None:
            possible = range(max(least, 0), least + max(s, d))
            return _choose(op, axis, out, wish, possible), pads[axis][0]
        size = least + extra[axis]
        if size <= 0:
            raise ShapeError(
                f"{op}: axis {SMALL_AXES[axis]} of x is {out}, which with stride {s}, a kernel "
                f"that spans {reach} and {pads[axis][0]} + {pads[axis][1]} padding gives an image "
                f"of {size}, expected at least 1"
            )
        return size, pads[axis][0]

    return solve


def _choose(op: str, axis: int, out: int, size: int, possible: range) -> int:
    if size not in possible:
        raise ShapeError(
            f"{op}: output_size along axis {AXES[axis]} is {size}, but axis {SMALL_AXES[axis]} of "
            f"x is {out}, expected one of {', '.join(map(str, possible))}"
        )
    return size
