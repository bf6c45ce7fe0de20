"""class_names: which class does a user mean?"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

Words = Sequence[Sequence[str]]  # for each class, all the words for it

MOST = 8  # classes that are listed when a word fits several


def find_classes(asked: str, words: Words) -> list[int]:
    """The classes that `asked` names: one, or several with commas between.

    >>> words = [["hotdog", "hot dog", "red hot"], ["corn"], ["Granny Smith"]]
    >>> find_classes("Hot-Dog", words), find_classes("corn, smith", words)
    ([0], [1, 2])
    """
    rows = [_plain(", ".join(names)) for names in words]
    if rows.count(_plain(asked)) == 1:
        return [rows.index(_plain(asked))]
    parts = [part for part in asked.split(",") if part.strip()]
    if not parts:
        raise ValueError(f"class is {asked!r}, expected a name")
    return list(dict.fromkeys(_find(part.strip(), words) for part in parts))


def _find(asked: str, words: Words) -> int:
    """By its number, a word for it, or a part of one that no other class has."""
    if asked.isascii() and asked.isdigit() and int(asked) < len(words):
        return int(asked)
    wanted = _plain(asked)
    plain = [[_plain(name) for name in names] for names in words]
    by_first = [k for k, names in enumerate(plain) if names[0] == wanted]
    by_word = [k for k, names in enumerate(plain) if wanted in names]
    by_part = [k for k, names in enumerate(plain) if any(_holds(name, wanted) for name in names)]
    for found in (by_first, by_word, by_part):
        if len(found) == 1:
            return found[0]
        if found:
            some = "; ".join(f"{k} ({', '.join(words[k])})" for k in found[:MOST])
            more = f"; and {len(found) - MOST} more" if len(found) > MOST else ""
            raise ValueError(
                f"{asked!r} fits {len(found)} classes: {some}{more}: ask for one of them, by its "
                f"number or its whole name"
            )
    raise ValueError(f"{asked!r} is no class of this network{_hint(wanted, words)}")


def _hint(wanted: str, words: Words) -> str:
    """Names that are spelt like it, or all if there are few."""
    names = {_plain(name): name for row in words for name in row}
    likeness = {name: _likeness(wanted, name) for name in names}
    near = sorted((name for name in names if likeness[name] >= 0.7), key=lambda n: -likeness[n])
    if near:
        return f"; did you mean {' or '.join(repr(names[name]) for name in near[:3])}?"
    return f"; its classes are {', '.join(r[0] for r in words)}" if len(words) <= 2 * MOST else ""


def _likeness(wanted: str, name: str) -> float:
    """How alike two spellings are, 0..1; also of one word of the name, for it may be long."""
    match = difflib.SequenceMatcher(b=wanted, autojunk=False)
    best = 0.0
    for part in (name, *name.split()):
        match.set_seq1(part)
        if match.real_quick_ratio() > best and match.quick_ratio() > best:
            best = max(best, match.ratio())
    return best


def _holds(name: str, wanted: str) -> bool:
    """Whether `wanted` is one of the name's words, or some in a row."""
    return bool(wanted) and f" {wanted} " in f" {name} "


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("-", " ").replace("_", " ").replace(",", " ").split())
