"""verdict: say in words what is wrong with a gradient, or admit that no simple pattern fits.

Each rule proposes an array  c  that the analytic gradient  a  would be, had one classic mistake
been made; it is named only if  a = c  in every element, to the tolerance of the check itself.
n is the numeric gradient.

    sign         c = -n               transposed    c = n with axes swapped or mirrored
    factor       c = r n              shifted       c = n moved by one along an axis
    missing sum  c = n of one slice   missing term  n - a = f b, one f along the summed axes,
                 of the output                      b one of 1, x, the upstream u, u x, y, u y
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import chain, combinations, permutations

import numpy as np

from ..device import Array

UNKNOWN = "no simple pattern"
LOOSE = 1e-3  # of the largest value: how well a residual must be explained


def verdict(
    analytic: Array,
    numeric: Array,
    tolerance: Array,
    slices: Mapping[str, Array] | None = None,
    bases: Mapping[str, Array] | None = None,
) -> str:
    """The first rule that explains every element.

    `slices` are numeric gradients under other upstream gradients, by what it would mean if the
    analytic one equalled them; `bases` are arrays that a forgotten term may be made of.
    """
    if not (np.isfinite(analytic).all() and np.isfinite(numeric).all()):
        return _not_finite(analytic, numeric)
    wrong = ~(np.abs(analytic - numeric) <= tolerance)
    where = "" if wrong.all() else f" in {int(wrong.sum())} of {wrong.size} elements"
    if not analytic[wrong].any():
        return f"zero where it should not be (detached?){where}"
    if not (np.abs(numeric[wrong]) > tolerance[wrong]).any():
        return f"not zero where it should be{where}"
    enough = np.count_nonzero(np.abs(numeric) > 10 * tolerance) >= 2
    if enough:
        proposals = chain(_whole(analytic, numeric), (slices or {}).items(), _moved(numeric))
        for words, proposal in proposals:
            if (np.abs(analytic - proposal) <= tolerance).all():
                return words
        shifted = _shifted(analytic, numeric, tolerance)
        if shifted:
            return shifted
        if np.count_nonzero(wrong & (np.abs(numeric) > 10 * tolerance)) >= 2:
            for words, proposal in _whole(analytic[wrong], numeric[wrong]):
                if (np.abs(analytic[wrong] - proposal) <= tolerance[wrong]).all():
                    return words + where
        term = _missing_term(analytic, numeric, tolerance, bases or {})
        if term:
            return term
    elif _is_simple(analytic, numeric, wrong):
        return next(_whole(analytic[wrong], numeric[wrong]))[0] + where
    return UNKNOWN + _location(wrong)


def _not_finite(analytic: Array, numeric: Array) -> str:
    which = [
        name
        for name, array in (("analytic", analytic), ("numeric", numeric))
        if not np.isfinite(array).all()
    ]
    word = "nan" if any(np.isnan(a).any() for a in (analytic, numeric)) else "infinite"
    return f"{word}: the {' and the '.join(which)} gradient"


def _whole(analytic: Array, numeric: Array) -> Iterator[tuple[str, Array]]:
    """The numeric gradient times -1, or times the ratio that fits best."""
    ratio = float(np.vdot(analytic, numeric) / np.vdot(numeric, numeric))
    if abs(ratio + 1) < LOOSE:
        yield "sign", -numeric
    else:
        yield f"off by a factor {_in_words(ratio)}", ratio * numeric


def _in_words(ratio: float) -> str:
    """2, 1/9 or 0.1234."""
    simple = Fraction(ratio).limit_denominator(1000)
    if (
        simple
        and abs(ratio / float(simple) - 1) < 1e-5
        and 1 in (abs(simple.numerator), simple.denominator)
    ):
        return str(simple)
    return f"{ratio:.4g}"


def _is_simple(analytic: Array, numeric: Array, wrong: Array) -> bool:
    """Of a single number any factor fits; believe only -1, 2, 1/2 and the like."""
    if not numeric[wrong].all():
        return False
    ratio = float(
        np.vdot(analytic[wrong], numeric[wrong]) / np.vdot(numeric[wrong], numeric[wrong])
    )
    simple = Fraction(ratio).limit_denominator(8)
    return bool(simple) and abs(ratio / float(simple) - 1) < 1e-5 and abs(simple) <= 8


def _moved(numeric: Array) -> Iterator[tuple[str, Array]]:
    """The numeric gradient with axes swapped (also when read back in row order) or mirrored."""
    long = [axis for axis, size in enumerate(numeric.shape) if size > 1]
    for order in permutations(range(numeric.ndim)) if numeric.ndim <= 5 else ():
        if [axis for axis in order if axis in long] != long:
            moved = [axis for axis, place in enumerate(order) if axis != place]
            swapped = numeric.transpose(order).reshape(numeric.shape)
            yield f"transposed: axes {_listed(moved)} are mixed up", swapped
    for axes in _subsets(long):
        yield f"mirrored along {_axes(axes)}", np.flip(numeric, axes)
    for axes in _subsets(long):
        summed = numeric.sum(axis=axes, keepdims=True)
        yield (
            f"summed over {_axes(axes)}, which should stay",
            np.broadcast_to(summed, numeric.shape),
        )


def _shifted(analytic: Array, numeric: Array, tolerance: Array) -> str:
    """Whether a crop or pad is off by one: equal where both exist after a step along one axis."""
    for axis, size in enumerate(numeric.shape):
        first, last = [slice(None)] * numeric.ndim, [slice(None)] * numeric.ndim
        first[axis], last[axis] = slice(0, size - 1), slice(1, size)
        for a, b, words in ((first, last, "earlier"), (last, first, "later")):
            part, tol = numeric[tuple(b)], tolerance[tuple(b)]
            if np.count_nonzero(np.abs(part) > 10 * tol) < 2:
                continue
            if (np.abs(analytic[tuple(a)] - part) <= tol).all():
                return f"shifted: one element {words} along axis {axis}"
    return ""


def _missing_term(
    analytic: Array, numeric: Array, tolerance: Array, bases: Mapping[str, Array]
) -> str:
    """Whether what is left over is one known array times a number, or times one along some axes."""
    rest = numeric - analytic
    known = {"1": np.ones(rest.shape), **{k: b for k, b in bases.items() if b.shape == rest.shape}}
    for axes in sorted(_subsets(range(rest.ndim)), key=len, reverse=True):
        if np.prod([rest.shape[axis] for axis in axes]) < 4:
            continue
        for name, base in known.items():
            if _fits(rest, [base], axes, tolerance):
                along = "" if len(axes) == rest.ndim else f", one number along {_axes(axes)}"
                what = "is constant" if name == "1" else f"is a multiple of {name}"
                return f"a term is missing: what is left over {what}{along}"
        if "x" in known and np.prod([rest.shape[axis] for axis in axes]) >= 6:
            if _fits(rest, [known["1"], known["x"]], axes, tolerance):
                return f"a term is missing: what is left over is s + t x along {_axes(axes)}"
    return ""


def _fits(rest: Array, bases: list[Array], axes: tuple[int, ...], tolerance: Array) -> bool:
    """rest = sum_b f_b b, with numbers f_b for each place of the other axes, by least squares."""
    others = [axis for axis in range(rest.ndim) if axis not in axes]
    rows = int(np.prod([rest.shape[axis] for axis in others]))

    def table(array: Array) -> Array:
        return array.transpose([*others, *axes]).reshape(rows, -1)

    left, tol = table(rest), table(tolerance)
    stacked = np.stack([table(base) for base in bases], axis=-1)  # rows, elements, bases
    factors = np.linalg.pinv(stacked) @ left[:, :, None]
    missed = np.abs(left - (stacked @ factors)[:, :, 0])
    return bool((missed <= np.maximum(tol, LOOSE * np.abs(left).max())).all())


def _location(wrong: Array) -> str:
    """Where the wrong elements lie, if they fill no axis."""
    places = np.argwhere(wrong)
    for axis, size in enumerate(wrong.shape):
        found = np.unique(places[:, axis])
        if size > 2 and len(found) == 1:
            return f"; wrong only where axis {axis} is {found[0]}"
    return "" if wrong.all() else f"; wrong in {len(places)} of {wrong.size} elements"


def _subsets(axes: list[int] | range) -> list[tuple[int, ...]]:
    return [s for n in range(1, len(axes) + 1) for s in combinations(axes, n)]


def _axes(axes: tuple[int, ...]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {_listed(axes)}"


def _listed(axes: tuple[int, ...] | list[int]) -> str:
    return ", ".join(map(str, axes))
