"""module: a function with parameters, buffers and parts, each under a name.

What a module has is found by looking: an attribute that is a `Parameter` is a parameter, one that
is a `Module` is a part, a tensor registered with `register_buffer` is a buffer; in the order of
assignment. There is nothing to call first, and attributes are plain Python attributes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from ..core import Tensor
from ..modes import mode
from . import state
from .moves import Moves
from .parameter import Parameter

M = TypeVar("M", bound="Module")


class _Calls(threading.local):
    """The modules whose forward is running in this thread, outermost first, each with its path."""

    def __init__(self) -> None:
        self.stack: list[tuple[Module, str]] = []


_calls = _Calls()


class Module(Moves):
    """Write `forward` (and `__init__`); call the module.

    While it runs, operators, errors and the NaN tracer know its path in the outermost module.

    >>> import minifcn as mf
    >>> class Twice(Module):
    ...     def __init__(self):
    ...         self.factor = Parameter([2.0])
    ...
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> twice = Twice()
    >>> twice(mf.tensor([3.0])).tolist(), list(twice.state_dict())
    ([6.0], ['factor'])
    """

    forward: ClassVar[Callable[..., Any]]
    training: bool = True
    regularizer: Callable[[Tensor], Tensor] | None = None
    _buffers: Mapping[str, bool] = {}  # name -> whether it belongs to the state
    _called_as: str = ""  # the name under which the last caller knew it

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run `forward`, known by its path."""
        path, outer = self._path(), mode.layer
        mode.layer = path or type(self).__name__
        _calls.stack.append((self, path))
        try:
            return self.forward(*inputs, **options)
        except (TypeError, ValueError) as error:
            _say_where(error, mode.layer, self)
            raise
        finally:
            _calls.stack.pop()
            mode.layer = outer

    def _path(self) -> str:
        """The dotted name under which the outermost running module knows this one."""
        if not _calls.stack:
            return ""
        caller, base = _calls.stack[-1]
        if caller is self:  # a module that calls itself
            return base
        name = self._called_as
        if _part(caller, name) is not self:  # a new caller: look for the name, and remember it
            names = (name for name, part in caller.named_children() if part is self)
            deeper = (name for name, part in caller.named_modules() if part is self)
            name = next(names, None) or next(deeper, None) or type(self).__name__
            self.__dict__["_called_as"] = name
        return f"{base}.{name}" if base else name

    def __setattr__(self, name: str, value: Any) -> None:
        """Attributes as usual, but no parameter is lost by a slip of assignment."""
        old = self.__dict__.get(name)
        if isinstance(old, Parameter) and not (value is None or isinstance(value, Parameter)):
            raise TypeError(
                f"{type(self).__name__}: {name} is a parameter and got a {type(value).__name__}; "
                f"assign an nn.Parameter, or write into it with .copy_() under mf.no_grad()"
            )
        if isinstance(value, (list, tuple, dict)):
            parts = value.values() if isinstance(value, dict) else value
            if any(isinstance(part, (Module, Parameter)) for part in parts):
                raise TypeError(
                    f"{type(self).__name__}: {name} is a {type(value).__name__} of modules or "
                    f"parameters, which would not be found and trained; use an nn.ModuleList or "
                    f"attributes"
                )
        super().__setattr__(name, value)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Give the module a tensor that is not trained; a persistent one belongs to the state."""
        setattr(self, name, tensor)
        self._buffers = {**self._buffers, name: persistent}

    # ---- what is inside ------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The parts directly in this module."""
        for name, value in self.__dict__.items():
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator[Module]:
        """The parts directly in this module, without names."""
        return (part for _, part in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, under its first dotted name."""
        seen: set[int] = set()
        for path, module in self._walk(prefix):
            if id(module) not in seen:
                seen.add(id(module))
                yield path, module

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def _walk(self, prefix: str) -> Iterator[tuple[str, Module]]:
        """Every path in the tree; a shared module comes once per path."""
        yield prefix, self
        for name, part in self.named_children():
            yield from part._walk(join(prefix, name))

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted path; "" is this one."""
        found = dict(self._walk("")).get(target)
        if found is None:
            raise AttributeError(f"{type(self).__name__}: there is no submodule {target!r}")
        return found

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, with its dotted name; without `recurse` this module's own."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, value in module.__dict__.items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield join(path, name), value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Every parameter once; without `recurse` this module's own."""
        return (parameter for _, parameter in self.named_parameters("", recurse))

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Every buffer once, with its dotted name."""
        for path, module in self.named_modules(prefix):
            for name in module._buffers:
                value = module.__dict__.get(name)
                if value is not None:
                    yield join(path, name), value

    def buffers(self) -> Iterator[Tensor]:
        """Every buffer once."""
        return (buffer for _, buffer in self.named_buffers())

    # ---- state, see state.py -------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """A snapshot: name -> copy of each parameter and persistent buffer, named as in PyTorch."""
        return state.snapshot(self)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> state.Loaded:
        """Write values into the parameters and buffers: all of them, or nothing and an error."""
        return state.load(self, state_dict, strict)

    def random_state(self) -> dict[str, Any]:
        """The state of every random generator in the tree, ready for JSON."""
        return state.random_snapshot(self)

    def load_random_state(self, values: Mapping[str, Any]) -> None:
        """Continue the random streams where `random_state` saw them."""
        state.load_random(self, values)

    # ---- modes; all change this module and return it, as do the moves of moves.py ----------------

    def train(self: M, mode: bool = True) -> M:
        """Training behaviour for the whole tree (batch statistics, dropout)."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Inference behaviour for the whole tree."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Train the parameters of the whole tree, or freeze them."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self) -> None:
        """Forget every gradient."""
        for parameter in self.parameters():
            if parameter.requires_grad:
                parameter.grad = None

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """Call `fn` on every module, parts before wholes."""
        for part in self.children():
            part.apply(fn)
        fn(self)
        return self

    # ---- the rest ------------------------------------------------------------------------------

    def regularization(self) -> Any:
        """The sum of regularizer(weight) over the tree: a scalar tensor, or 0.0 without any."""
        terms = [
            module.regularizer(module.__dict__["weight"])
            for module in self.modules()
            if module.regularizer is not None
        ]
        return sum(terms[1:], terms[0]) if terms else 0.0

    def extra_repr(self) -> str:
        """The module's own settings, for `repr`."""
        return ""

    def __repr__(self) -> str:
        lines = []
        for name, part in self.named_children():
            lines.append(f"({name}): {repr(part)}".replace("\n", "\n  "))
        own = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({own})"
        inner = "\n  ".join([*([own] if own else []), *lines])
        return f"{type(self).__name__}(\n  {inner}\n)"


def _part(module: Any, name: str) -> Any:
    """What stands at a dotted path below a module, or nothing."""
    for word in name.split("."):
        module = getattr(module, "__dict__", {}).get(word)
    return module


def join(path: str, name: str) -> str:
    """The dotted name of `name` in the module at `path`."""
    return f"{path}.{name}" if path else name


def _say_where(error: Exception, layer: str, module: Module) -> None:
    """Add the layer to the message, once: the innermost module knows best."""
    notes = vars(error)
    if "layer" not in notes and len(error.args) == 1 and isinstance(error.args[0], str):
        notes["layer"] = layer
        kind = f"{type(module).__name__}({module.extra_repr()})"
        error.args = (f"{error.args[0]}\n    in layer {layer}: {kind}",)
