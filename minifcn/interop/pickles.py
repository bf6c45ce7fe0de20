"""pickles: read a pickle as data: no code is found, called or run.

A pickle is a program for a small stack machine. Two of its instructions are dangerous: one names
any function of any module, one calls it. Here a name is only looked up in a table that the caller
gives, of functions written for this purpose; any other name ends the reading with an error that
tells it. Objects cannot be made by name at all, nor given a state, unless the caller's `build`
agrees.

The work is linear in the length of the text: keys of dicts must be words or numbers, as the hash
of a tuple that holds itself many times over takes exponential time.

Source  Python's pickletools, which takes the text apart and documents each instruction
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

Function = Callable[..., Any]


class PickleRefused(ValueError):  # noqa: N818  # the reading was refused, nothing went wrong
    """A pickle that holds, or claims to hold, something else than data that we know."""


@dataclass(frozen=True)
class Named:
    """A name of the table: what the text calls it, and what it stands for here."""

    name: str
    value: Any


class _Mark:
    """Where a list of values begins on the stack."""


MARK = _Mark()
MOST = 1 << 22  # instructions; each may make a value of 64 bytes, and a tensor needs some 40
KEYS = (str, bytes, int, float, type(None))  # what a dict may have as keys

CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
EMPTIES: dict[str, Callable[[], Any]] = {
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
PUTS, GETS = {"PUT", "BINPUT", "LONG_BINPUT"}, {"GET", "BINGET", "LONG_BINGET"}
SILENT = {"PROTO", "FRAME"}


def read_pickle(
    file: IO[bytes],
    names: Mapping[str, Any],
    persistent: Function | None = None,
    build: Callable[[Any, Any], bool] | None = None,
) -> Any:
    """The value of the pickle that begins where `file` stands; the file then stands behind it.

    `names`: "module.name" -> a function that a text may call by this name, or a plain value.
    `persistent`: what stands for an object that is stored outside the text, from its id.
    `build`: whether it is harmless that a state is given to an object; the state is dropped.
    """
    machine = _Machine(names, persistent, build)
    try:
        for step, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if step >= MOST:
                raise PickleRefused(f"has over {MOST} instructions")
            if opcode.name == "STOP":
                return machine.result()
            machine.step(opcode.name, argument)
    except PickleRefused:
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise PickleRefused(f"is no whole pickle ({str(error)[:80]})") from None
    raise PickleRefused("is no whole pickle (it has no end)")


class _Machine:
    """The stack, the memo, and the instructions that make data."""

    def __init__(
        self,
        names: Mapping[str, Any],
        persistent: Function | None,
        build: Callable[[Any, Any], bool] | None,
    ) -> None:
        self.names, self.persistent, self.build = names, persistent, build
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def result(self) -> Any:
        """What is left at the end."""
        value = self.stack.pop()
        if self.stack or value is MARK:
            raise PickleRefused("is no whole pickle (more than one value is left)")
        return value

    def step(self, name: str, argument: Any) -> None:
        """One instruction."""
        stack = self.stack
        if name in LITERALS:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in EMPTIES:
            stack.append(EMPTIES[name]())
        elif name in TUPLES:
            count = TUPLES[name]
            self._need(count)
            stack[-count:] = [tuple(stack[-count:])]
        elif name in PUTS:
            self.memo[int(argument)] = self._top()
        elif name in GETS:
            stack.append(self.memo[int(argument)])
        elif name not in SILENT:
            instruction = getattr(self, f"_{name.lower()}", None)
            if instruction is None:
                raise PickleRefused(f"has the instruction {name}, which no file of weights needs")
            if name == "GLOBAL":
                instruction(argument)
            elif name == "PERSID":
                stack.append(argument)
                self._binpersid()
            else:
                instruction()

    # ---- the stack -----------------------------------------------------------------------------

    def _need(self, count: int) -> None:
        if len(self.stack) < count or any(value is MARK for value in self.stack[-count:]):
            raise PickleRefused("is no whole pickle (a value is missing)")

    def _top(self) -> Any:
        self._need(1)
        return self.stack[-1]

    def _pop(self) -> Any:
        self._need(1)
        return self.stack.pop()

    def _marked(self) -> list[Any]:
        """The values since the last mark, and away with them."""
        place = len(self.stack) - 1
        while place >= 0 and self.stack[place] is not MARK:
            place -= 1
        if place < 0:
            raise PickleRefused("is no whole pickle (a mark is missing)")
        values = self.stack[place + 1 :]
        del self.stack[place:]
        return values

    def _mark(self) -> None:
        self.stack.append(MARK)

    def _dup(self) -> None:
        self.stack.append(self._top())

    def _pop_mark(self) -> None:
        self._marked()

    def _memoize(self) -> None:
        self.memo[len(self.memo)] = self._top()

    # ---- lists, tuples, dicts ------------------------------------------------------------------

    def _tuple(self) -> None:
        self.stack.append(tuple(self._marked()))

    def _list(self) -> None:
        self.stack.append(self._marked())

    def _dict(self) -> None:
        values = self._marked()
        self.stack.append({})
        self._set(values)

    def _append(self) -> None:
        self._extend([self._pop()])

    def _appends(self) -> None:
        self._extend(self._marked())

    def _extend(self, values: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, list):
            raise PickleRefused(f"appends to a {type(target).__name__}")
        target.extend(values)

    def _setitem(self) -> None:
        value, key = self._pop(), self._pop()
        self._set([key, value])

    def _setitems(self) -> None:
        self._set(self._marked())

    def _set(self, values: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, dict) or len(values) % 2:
            raise PickleRefused(f"sets entries of a {type(target).__name__}")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, KEYS):
                raise PickleRefused(f"has a {type(key).__name__} as key of a dict")
            target[key] = value

    # ---- names and calls -----------------------------------------------------------------------

    def _global(self, argument: str) -> None:
        self._name(".".join(argument.split(" ", 1)))

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        self._name(f"{module}.{name}" if isinstance(name, str) else repr(type(name)))

    def _name(self, name: str) -> None:
        if name not in self.names:
            raise PickleRefused(
                f"asks for {name!r:.90}, which is not among the names allowed; of a whole model "
                f"save the state_dict()"
            )
        self.stack.append(Named(name, self.names[name]))

    def _reduce(self) -> None:
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, Named) or not callable(function.value):
            raise PickleRefused(f"calls a {type(function).__name__}")
        if not isinstance(arguments, tuple):
            raise PickleRefused(f"calls {function.name} with a {type(arguments).__name__}")
        try:
            self.stack.append(function.value(*arguments))
        except (TypeError, ValueError) as error:
            raise PickleRefused(f"calls {function.name} wrongly: {error}") from None

    def _build(self) -> None:
        state = self._pop()
        if self.build is None or not self.build(self._top(), state):
            raise PickleRefused(f"gives a state to a {type(self._top()).__name__}")

    def _binpersid(self) -> None:
        key = self._pop()
        if self.persistent is None:
            raise PickleRefused("refers to an object outside")
        self.stack.append(self.persistent(key))
