"""shapes: what sizes mean, checked before anything is computed.

Every array axis has a letter (docs/notation.md). `bind` checks that one letter has one size over
all arguments of a call.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from numbers import Real

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


def whole(op: str, name: str, value: object, least: int | None) -> int:
    """`value` as an int, of at least `least` if there is one, or an error that names it."""
    try:
        number = int(value.__index__())  # type: ignore[attr-defined]  # whoever has it is whole
    except (AttributeError, TypeError):
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"{op}: {name} is {shown(value)}, expected a whole number")
    if least is not None and number < least:
        raise ShapeError(f"{op}: {name} is {number}, expected at least {least}")
    return number


def real(op: str, name: str, value: object, least: float = -inf, most: float = inf) -> float:
    """`value` as a float from `least` to `most`, or an error that names it."""
    if not isinstance(value, Real):
        raise TypeError(f"{op}: {name} is {shown(value)}, expected a number")
    number = float(value)
    if not least <= number <= most:
        bounds = f"at least {least:g}" if most == inf else f"{least:g} to {most:g}"
        raise ValueError(f"{op}: {name} is {number:g}, expected {bounds}")
    return number


def one_of(op: str, name: str, value: object, words: Iterable[str]) -> str:
    """`value`, if it is one of the words."""
    if not isinstance(value, str) or value not in words:
        raise ValueError(
            f"{op}: {name} is {shown(value)}, expected one of {', '.join(map(repr, words))}"
        )
    return value


def flag(op: str, name: str, value: object) -> bool:
    """`value` if it is True or False (or NumPy's); words and numbers are mistakes."""
    if type(value).__name__ not in ("bool", "bool_"):
        raise TypeError(f"{op}: {name} is {shown(value)}, expected True or False")
    return bool(value)


def function(op: str, name: str, value: object) -> None:
    """Refuse what cannot be called."""
    if not callable(value):
        raise TypeError(f"{op}: {name} is {shown(value)}, expected a function")


def axis_of(op: str, name: str, value: object, ndim: int, x: Shape = ()) -> int:
    """`value` as an axis 0 .. ndim - 1; a negative one counts from the end."""
    axis = whole(op, name, value, None)
    if not -ndim <= axis < ndim:
        place = f" (x: {x})" if x else ""
        raise ShapeError(f"{op}: {name} is {axis}, expected {-ndim} to {ndim - 1}{place}")
    return axis % ndim


def sizes(op: str, shape: object, least: int = 0) -> Shape:
    """`shape` as a tuple of whole numbers; one number is a shape of one axis."""
    listed = shape if isinstance(shape, (tuple, list)) else (shape,)
    return tuple(whole(op, f"shape[{axis}]", size, least) for axis, size in enumerate(listed))


def shown(value: object) -> str:
    """A value in one short line, for an error."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def pair(op: str, name: str, value: object, least: int) -> Pair:
    """One number for both axes, or (along H, along W)."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ShapeError(
                f"{op}: {name} is {shown(value)}, expected one number or (height, width)"
            )
        high = whole(op, f"{name} along axis {AXES[0]}", value[0], least)
        return high, whole(op, f"{name} along axis {AXES[1]}", value[1], least)
    number = whole(op, name, value, least)
    return number, number
