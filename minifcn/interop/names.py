"""names: the classes of the data sets that known weights were trained on."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from functools import lru_cache
from importlib import resources
from typing import Any

from ..data import Classes
from ..shapes import one_of

DATA = ("imagenet", "voc", "camvid")


@lru_cache(maxsize=len(DATA))
def classes_of(data: str) -> Classes:
    """The classes of "imagenet" (1000), "voc" (21, void 255) or "camvid" (11 and void).

    >>> classes_of("imagenet").names[934], classes_of("voc").names[:3]
    ('hotdog', ('background', 'aeroplane', 'bicycle'))
    """
    content = _content(data)
    if "rows" not in content:
        colours = tuple((r, g, b) for r, g, b in content.get("colours", []))
        return Classes(tuple(content["names"]), colours, content["void"])
    return Classes(tuple(_one_name(k, content) for k in range(len(content["rows"]))))


def words_of(data: str) -> tuple[tuple[str, ...], ...]:
    """For each class all the words for it.

    >>> words_of("imagenet")[934]
    ('hotdog', 'hot dog', 'red hot')
    """
    content = _content(data)
    if "rows" not in content:
        return tuple((name,) for name in content["names"])
    own = content["names"]
    return tuple(
        (*words.split(", "), *([own[str(k)]] if str(k) in own else []))
        for k, (_, words) in enumerate(content["rows"])
    )


def find_class(data: str, word: str) -> int:
    """The class that is called so, in capitals or not; an unknown or shared word is an error.

    >>> find_class("imagenet", "Hot dog"), find_class("voc", "person")
    (934, 15)
    """
    named = [k for k, name in enumerate(classes_of(data).names) if name == word]
    if named:
        return named[0]
    everyone = [tuple(name.lower() for name in names) for names in words_of(data)]
    wanted = " ".join(word.lower().split())
    first = [k for k, names in enumerate(everyone) if names[0] == wanted]
    found = first or [k for k, names in enumerate(everyone) if wanted in names]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(f"{k} ({', '.join(words_of(data)[k])})" for k in found)
        raise ValueError(f"class: {word!r} is several classes of {data}: {several}")
    known = sorted({name for names in everyone for name in names})
    near = difflib.get_close_matches(wanted, known, 3, 0.6)
    near = near or [name for name in known if wanted and wanted in name][:5]
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise ValueError(f"class: {word!r} is no class of {data}{hint}")


@lru_cache(maxsize=len(DATA))
def _content(data: str) -> dict[str, Any]:
    one_of("classes_of", "data", data, DATA)
    file = resources.files(__package__) / "classes" / f"{data}.json"
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


@lru_cache(maxsize=1)
def _firsts() -> Counter[str]:
    return Counter(words.split(", ")[0] for _, words in _content("imagenet")["rows"])


def _one_name(k: int, content: dict[str, Any]) -> str:
    """The first word for a class, or all if another class begins alike and that is no name yet."""
    words: str = content["rows"][k][1]
    own: dict[str, str] = content["names"]
    first = words.split(", ")[0]
    return own.get(str(k), first if _firsts()[first] == 1 else words)
