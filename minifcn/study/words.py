"""words: numbers and tables as text."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns side by side, the first `left` of them flush left, the others right.

    >>> print(aligned([["layer", "k"], ["conv1", "3"], ["fc6", "7"]]))
    layer  k
    conv1  3
    fc6    7
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            word.ljust(width) if k < left else word.rjust(width)
            for k, (word, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def large(number: float, unit: str = "") -> str:
    """A count in at most four digits: thousands (k), millions (M), billions (G).

    >>> large(15470264320), large(349151936, "B"), large(7)
    ('15.47 G', '349.2 MB', '7')
    """
    for power, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= power:
            value = number / power
            digits = 2 if value < 100 else 1
            return f"{value:.{digits}f} {letter}{unit}"
    return f"{number:g}{' ' + unit if unit else ''}"


def both(pair: tuple[float, float]) -> str:
    """Two numbers along H and W; one, if they are the same.

    >>> both((12.5, 12.5)), both((3, 5))
    ('12.5', '3 x 5')
    """
    a, b = (f"{round(value, 3):g}" for value in pair)
    return a if a == b else f"{a} x {b}"
