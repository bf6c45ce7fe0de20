"""shapes: what sizes mean, checked before anything is computed.

Every array axis has a letter (docs/notation.md). `bind` checks that one letter has one size over
all arguments of a call.
"""

from __future__ import annotations

Shape = tuple[int, ...]
Pair = tuple[int, int]

AXES = ("2 (H)", "3 (W)")


class ShapeError(ValueError):
    """A size, rank or geometry that the named operator cannot work with."""


def bind(op: str, **arguments: tuple[str, Shape]) -> dict[str, int]:
    """Give each axis letter its size; one letter must have one size.

    A letter with a slash, as C/G, is a name like any other.

    >>> bind("linear", x=("N I", (2, 3)), weight=("O I", (5, 3)))
    {'N': 2, 'I': 3, 'O': 5}
    """
    sizes: dict[str, int] = {}
    first: dict[str, tuple[str, int]] = {}
    for name, (letters, shape) in arguments.items():
        axes = letters.split()
        if len(axes) != len(shape):
            raise ShapeError(
                f"{op}: {name} has {len(shape)} axes {tuple(shape)}, "
                f"expected {len(axes)}: {letters}"
            )
        for axis, (letter, size) in enumerate(zip(axes, shape, strict=True)):
            if sizes.setdefault(letter, size) != size:
                other, place = first[letter]
                raise ShapeError(
                    f"{op}: axis {axis} ({letter}) of {name} is {size}, but axis {place} "
                    f"({letter}) of {other} is {sizes[letter]}{_listing(arguments)}"
                )
            first.setdefault(letter, (name, axis))
    return sizes


def _listing(arguments: dict[str, tuple[str, Shape]]) -> str:
    """One line per argument: its name, its letters, its shape."""
    width = max(len(f"{name}: {letters}") for name, (letters, _) in arguments.items())
    lines = []
    for name, (letters, shape) in arguments.items():
        lines.append(f"\n    {f'{name}: {letters}':<{width}} = {tuple(shape)}")
    return "".join(lines)


def whole(op: str, name: str, value: object, least: int) -> int:
    """`value` as an int of at least `least`, or an error that names the argument."""
    index = getattr(value, "__index__", None)
    if index is None or isinstance(value, bool):
        raise TypeError(f"{op}: {name} is {value!r}, expected a whole number")
    number = int(index())
    if number < least:
        raise ShapeError(f"{op}: {name} is {number}, expected at least {least}")
    return number


def pair(op: str, name: str, value: object, least: int) -> Pair:
    """One number for both axes, or (along H, along W)."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ShapeError(f"{op}: {name} is {value!r}, expected one number or (height, width)")
        high = whole(op, f"{name} along axis {AXES[0]}", value[0], least)
        return high, whole(op, f"{name} along axis {AXES[1]}", value[1], least)
    number = whole(op, name, value, least)
    return number, number
