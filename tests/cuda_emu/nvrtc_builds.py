"""The builds of a .cu file: with which macros the package compiles it, as its header says.

    // Builds  REAL=floating FLOATING=1              all combinations of the alternatives
    // Builds  REAL=half16|bfloat16 TILE=64|128 from sm_80
    // Builds  REAL=floating OUT=double|REAL         a macro's name stands for its value
    // Stack   kernel_name: why it may use local memory

`undeclared` holds what is really compiled against the header, so a header cannot go stale: the
tests on the emulator call it for every program (tests/kernels/test_cuda_compile.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

from minifcn.kernels.cupy_kernels.launch import FOLDER, source
from tests.cuda_emu.nvrtc_library import Macros

WORDS = {  # what stands for a list of alternatives
    "floating": "float double half16 bfloat16".split(),
    "integer": "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64".split(),
}
OLDEST = 75  # the card that a build is for, unless its line says `from sm_80`
PLAIN = "as it is"  # the line of a file without macros


class Builds(NamedTuple):
    """One `// Builds` line: the alternatives of every macro, and the oldest card."""

    file: str
    macros: tuple[tuple[str, tuple[str, ...]], ...]
    oldest: int

    def every(self) -> Iterator[Macros]:
        names = [name for name, _ in self.macros]
        seen = set()
        for values in product(*(values for _, values in self.macros)):
            given = dict(zip(names, values, strict=True))
            made = tuple((name, given.get(value, value)) for name, value in given.items())
            if made not in seen:
                seen.add(made)
                yield made

    def first(self) -> Macros:
        return next(self.every())

    def has(self, macros: Macros) -> bool:
        return dict(macros) in map(dict, self.every())


def files() -> list[str]:
    """The .cu files of the package, without the ending."""
    return sorted(path.stem for path in FOLDER.glob("*.cu"))


def header(text: str) -> list[str]:
    """The lines of the comment that a file begins with."""
    lines = [line for line in text.splitlines() if not line.startswith("#line")]
    code = next((k for k, line in enumerate(lines) if not line.startswith("//")), len(lines))
    return [line.removeprefix("//").strip() for line in lines[:code]]


def builds_in(file: str, text: str) -> list[Builds]:
    """What the header of one file declares; an error if it declares nothing, or cannot be read."""
    found = [
        _builds(file, line.removeprefix("Builds").strip())
        for line in header(text)
        if line.startswith("Builds ")
    ]
    if not found:
        raise ValueError(f"{file}.cu: the header has no line '// Builds  MACRO=a|b ...'")
    return found


@cache
def builds(file: str) -> list[Builds]:
    return builds_in(file, source(file))


def _builds(file: str, line: str) -> Builds:
    declared, _, card = line.partition(" from ")
    if card and re.fullmatch(r"sm_\d+", card) is None:
        raise ValueError(f"{file}.cu: a Builds line ends in 'from {card}', expected 'from sm_80'")
    macros = []
    for word in [] if declared == PLAIN else declared.split():
        found = re.fullmatch(r"(\w+)=(\w+(?:\|\w+)*)", word)
        if found is None:
            raise ValueError(f"{file}.cu: a Builds line has {word!r}, expected MACRO=a|b")
        values = [v for one in found[2].split("|") for v in WORDS.get(one, [one])]
        macros.append((found[1], tuple(values)))
    return Builds(file, tuple(macros), int(card.removeprefix("sm_")) if card else OLDEST)


def stack_allowed(file: str) -> dict[str, str]:
    """Kernels that may use local memory, and why."""
    lines = [line.removeprefix("Stack").strip() for line in header(source(file))
             if line.startswith("Stack ")]  # fmt: skip
    return {kernel.strip(): why.strip() for kernel, _, why in (x.partition(":") for x in lines)}


def undeclared(code: str, options: Sequence[str]) -> str | None:
    """What is wrong with compiling `code`, a source of the package, with -D options; None if ok."""
    found = re.match(r'#line 1 "(\w+)\.cu"', code)
    if found is None:
        return None  # a test's own kernel
    macros = tuple(
        (name, value or "1")
        for name, _, value in (o[2:].partition("=") for o in options if o.startswith("-D"))
    )
    if any(line.has(macros) for line in builds_in(found[1], code)):
        return None
    given = " ".join(f"{name}={value}" for name, value in macros) or PLAIN
    return f"{found[1]}.cu is compiled with {given}, which no Builds line of its header has"


def tasks(file: str, every: bool, cards: Sequence[int]) -> list[tuple[str, Macros, int]]:
    """What to compile: every combination, or the first of each line, for every card it is for."""
    made = []
    for line in builds(file):
        for macros in line.every() if every else [line.first()]:
            made += [(file, macros, card) for card in cards if card >= line.oldest]
    return made
