"""container: modules made of modules."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .. import functional as F
from ..core import Tensor
from .fuse import chain
from .module import Module


class _List(Module):
    """Modules under the names "0", "1", ... or names of their own."""

    def _at(self, index: int) -> str:
        names = [name for name, _ in self.named_children()]
        if not -len(names) <= index < len(names):
            raise IndexError(f"{type(self).__name__}: index is {index}, but there are {len(names)}")
        return names[index]

    def _put(self, name: str, module: Any) -> None:
        if not isinstance(module, Module):
            raise TypeError(
                f"{type(self).__name__}: entry {name} is a {type(module).__name__}, "
                f"expected a Module"
            )
        if hasattr(type(self), name) or "." in name or not name:
            raise ValueError(f"{type(self).__name__}: {name!r} cannot be a module's name here")
        setattr(self, name, module)

    def __len__(self) -> int:
        return sum(1 for _ in self.named_children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __setitem__(self, index: int, module: Module) -> None:
        self._put(self._at(index), module)

    def _add(self, module: Any) -> None:
        self._put(str(len(self)), module)


class Sequential(_List):
    """Each module's output is the next one's input; some pairs are one operator, see fuse.py.

    `Sequential(a, b)` names them "0", "1"; an OrderedDict gives them names of its own.

    Shape   that of the first module's input -> that of the last one's output

    >>> import minifcn as mf
    >>> net = Sequential(OrderedDict(same=Identity(), flat=Flatten()))
    >>> net(mf.tensor([[[1.0, 2.0], [3.0, 4.0]]])).tolist(), net[1]
    ([[1.0, 2.0, 3.0, 4.0]], Flatten())
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        only = modules[0] if len(modules) == 1 else None
        if isinstance(only, Mapping):
            for name, module in only.items():
                self._put(name, module)
            return
        for part in modules:
            self._add(part)

    def forward(self, x: Any) -> Any:
        return chain(self, x)

    def append(self, module: Module) -> Sequential:
        """Put a module at the end."""
        self._add(module)
        return self

    def __getitem__(self, index: int | slice) -> Any:
        """A module, or for a slice a new Sequential of the same modules under the same names."""
        if isinstance(index, slice):
            return Sequential(OrderedDict(list(self.named_children())[index]))
        return getattr(self, self._at(index))


class ModuleList(_List):
    """A list of modules whose parameters are found; it is not called.

    >>> len(ModuleList([Identity(), Identity()]).append(Identity()))
    3
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def append(self, module: Module) -> ModuleList:
        """Put a module at the end."""
        self._add(module)
        return self

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Put several modules at the end."""
        if not isinstance(modules, Iterable):
            raise TypeError(
                f"{type(self).__name__}: modules is a {type(modules).__name__}, expected a list"
            )
        for module in modules:
            self._add(module)
        return self

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return ModuleList(list(self)[index])
        return getattr(self, self._at(index))


class Identity(Module):
    """Gives back what it gets, whatever it was made with.   Shape   any"""

    does_nothing = True  # see fuse.py

    def __init__(self, *ignored: Any, **options: Any) -> None:
        pass

    def forward(self, x: Any) -> Any:
        return x


class Flatten(Module):
    """Axes start_dim to end_dim as one.   Shape   x: N C H W -> y: N CHW, as made"""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        return F.flatten(x, self.start_dim, self.end_dim)
