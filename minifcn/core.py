"""core: tensors and operators, and how one asks for a derivative.

    y = op(x_1, ..., x_n)         forward   gives y
    g_i = sum_k gy_k dy_k/dx_i    vjp       gives every g_i from gy, written with operators again

A `Tensor` is an array and, if it was recorded, the `Node` that made it; the reverse walk over nodes
is in graph.py. Since vjps are written with operators, a recorded walk can be differentiated again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from . import kernels
from .device import Array, checked, host_array, is_floating, on_gpu, to_host
from .graph import Node, arguments, place, reachable, walk
from .methods import Methods
from .modes import mode, no_grad
from .operators import Operators
from .shapes import Shape, ShapeError
from .versions import Version


class Tensor(Operators, Methods):
    """An array that remembers how it was made.

    >>> x = tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.], dtype=float32)
    """

    __slots__ = ("__weakref__", "_node", "_version", "data")

    def __init__(self, data: Array, requires_grad: bool = False) -> None:
        self.data = checked("Tensor", "data", data)
        self._version = Version()
        self._node: Node | None = None
        if requires_grad:
            self.requires_grad = True

    @staticmethod
    def _of(data: Array, node: Node | None, version: Version) -> Tensor:
        made = Tensor.__new__(Tensor)
        made.data, made._node, made._version = data, node, version
        return made

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient can flow to this tensor."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if self._node is not None and self._node.op is not None:
            raise ValueError(
                f"requires_grad: this tensor was made by {self._node}; only a leaf can be set, "
                f"use .detach()"
            )
        if wanted and not is_floating(self.data.dtype):
            raise TypeError(f"requires_grad: dtype is {self.data.dtype}, expected a floating type")
        if not wanted:
            self._node = None
        elif self._node is None:
            self._node = Node(None, (), (), self.data)

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operator made this tensor."""
        return self._node is None or self._node.op is None

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` has gathered in this leaf."""
        return None if self._node is None else self._node.grad

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        if self._node is None:
            raise ValueError("grad: this tensor does not require a gradient")
        if gradient is not None:
            _fit("grad", _listed("value", gradient)[0], self)
        self._node.grad = gradient

    def detach(self) -> Tensor:
        """The same array with no history."""
        return Tensor._of(self.data, None, self._version)

    def backward(self, gradient: Tensor | None = None, retain_graph: bool = True) -> None:
        """Add d self / d leaf to the `grad` of every leaf; `gradient` weighs the elements of self.

        With `retain_graph=False` the kept arrays are let go on the way: less memory, but no second
        backward through this graph.
        """
        if self._node is None:
            raise ValueError("backward: this tensor was not recorded; no input requires a gradient")
        seed = _seed("backward", self, gradient)
        graph = reachable([self._node])
        leaves = {node for node in graph if node.op is None or node.retains}
        _gather(walk(graph, [(self._node, seed)], leaves, False, not retain_graph))

    def retain_grad(self) -> None:
        """Let `backward` store the gradient here too, though this is no leaf."""
        if self._node is None:
            raise ValueError("retain_grad: this tensor does not require a gradient")
        self._node.retains = True

    def written(self, writer: str) -> None:
        """Say that `data` was changed in place, and by whom."""
        self._version.bump(writer)

    def __repr__(self) -> str:
        body = np.array2string(to_host(self.data), separator=", ", prefix="tensor(")
        made_by = f", made by {self._node.op.name}" if self._node and self._node.op else ""
        leaf = ", requires_grad=True" if self._node and self._node.op is None else ""
        return f"tensor({body}, dtype={self.data.dtype}{leaf}{made_by})"


class Op:
    """A frozen value of static parameters, with `shape`, `forward`, `vjp` and `samples`.

    shape(*shapes)       the shape that forward promises; raises ShapeError
    forward(k, *arrays)  y, or (y, *extras); k = the kernels of the arrays' device
    vjp(gy, ...)         one entry per input: a Tensor, None, or a function that makes the Tensor
                         (called only if somebody wants it). It names what it needs: inputs of
                         forward, `y`, or the op's `extras`; exactly that is kept
    samples()            (op, *draws) tuples for the contract test
    """

    name: ClassVar[str]
    extras: ClassVar[tuple[str, ...]] = ()
    mixed: ClassVar[bool] = False  # its floating inputs may be of several dtypes
    linear: ClassVar[bool] = False  # in its first input; the contract test then checks the adjoint
    views: ClassVar[bool] = False  # y may share memory with the first input
    moves: ClassVar[bool] = False  # y may live on another device
    registry: ClassVar[dict[str, type[Op]]] = {}
    _inputs: ClassVar[tuple[str, ...]] = ()
    _keeps: ClassVar[tuple[tuple[str, int], ...]] = ()

    shape: ClassVar[Callable[..., Shape]]
    forward: ClassVar[Callable[..., Any]]
    vjp: ClassVar[Callable[..., Sequence[Any]]]
    samples: ClassVar[Callable[[], Iterable[tuple[Any, ...]]]]

    def __init_subclass__(cls) -> None:
        cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        cls._inputs = tuple(arguments(cls.forward)[2:])
        cls._keeps = tuple(place(cls, name) for name in arguments(cls.vjp)[2:])
        ours = Op.registry.get(cls.name, cls).__module__.startswith("minifcn.")
        theirs = not cls.__module__.startswith("minifcn.")
        Op.registry[f"{cls.__module__}.{cls.name}" if ours and theirs else cls.name] = cls

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Run forward, and record it if a gradient may be asked for."""
        arrays = [x.data for x in inputs]
        shape = self.shape(*[a.shape for a in arrays])
        k = kernels.of(self.name, arrays, self._inputs, self.mixed)
        with np.errstate(all="ignore"):  # inf and nan appear silently; mf.detect_anomaly finds them
            out = mode.sketch(self, arrays, shape) if mode.sketch else self.forward(k, *arrays)
        y, extras = (out[0], out[1:]) if type(out) is tuple else (out, ())
        y = np.asarray(y) if isinstance(y, np.generic) else y  # as NumPy's sum over all axes is
        assert y.shape == shape, f"{self.name}: promised {shape}, made {y.shape}"
        if isinstance(y, np.ndarray) and on_gpu(arrays[0]) and not self.moves:
            raise TypeError(f"{self.name}: forward on 'cuda' made a host array, expected k's")
        if len(extras) != len(self.extras):
            raise TypeError(
                f"{self.name}: forward made {len(extras)} extras, expected {len(self.extras)}: "
                f"{', '.join(self.extras) or 'none'}"
            )
        if mode.trace:
            mode.trace(self, inputs, y)
        version = inputs[0]._version if self.views else Version()
        if not mode.recording or all(x._node is None for x in inputs):
            return Tensor._of(y, None, version)
        kept = []
        for kind, index in self._keeps:
            if kind == "input":
                source = inputs[index]._version
                kept.append((arrays[index], source, source.count))
            else:
                kept.append((y if kind == "y" else extras[index], version, version.count))
        node = Node(self, tuple(x._node for x in inputs), tuple(kept), y)
        return Tensor._of(y, node, version)


@no_grad()
def _gather(found: dict[Node, Tensor]) -> None:
    """Add to the `grad` of every node; a new one is a copy, which may be written in place."""
    new: dict[Any, list[Node]] = {}
    for node, g in found.items():
        node.grad = None if node.grad is None else node.grad + g
        if node.grad is None:
            new.setdefault(kernels.of("backward", [g.data]), []).append(node)
    for k, nodes in new.items():
        for node, y in zip(nodes, k.copies([found[n].data for n in nodes]), strict=True):
            node.grad = Tensor(y)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor, ...]:
    """d (sum_k grad_outputs_k . outputs_k) / d inputs_i, one tensor per input.

    With `create_graph` the result is recorded and can be differentiated again. An input that the
    outputs do not depend on is an error, or zeros with `allow_unused`.

    >>> x = tensor([3.0], requires_grad=True)
    >>> (g,) = grad(x**3, x, create_graph=True)
    >>> (h,) = grad(g, x)
    >>> g.item(), h.item()
    (27.0, 18.0)
    """
    ys, xs = _listed("outputs", outputs), _listed("inputs", inputs)
    gys = [None] * len(ys) if grad_outputs is None else _listed("grad_outputs", grad_outputs)
    if len(gys) != len(ys):
        raise ValueError(f"grad: {len(gys)} grad_outputs for {len(ys)} outputs, expected as many")
    for index, x in enumerate(xs):
        if x._node is None:
            raise ValueError(f"grad: input {index} does not require a gradient")
    seeds = [(y._node, _seed("grad", y, g)) for y, g in zip(ys, gys, strict=True) if y._node]
    nodes = [x._node for x in xs if x._node is not None]
    found = walk(reachable(node for node, _ in seeds), seeds, set(nodes), create_graph)
    for index, node in enumerate(nodes):
        if node not in found and not allow_unused:
            raise ValueError(
                f"grad: the outputs do not depend on input {index}; "
                f"pass allow_unused=True for zeros"
            )
    gradients = [
        found[node] if node in found else full_like(x, 0) for node, x in zip(nodes, xs, strict=True)
    ]
    return tuple(g if create_graph else g.detach() for g in gradients)


def _listed(name: str, given: Any) -> list[Any]:
    """One tensor or several as a list; a gradient may be None."""
    listed = list(given) if isinstance(given, (tuple, list)) else [given]
    for index, one in enumerate(listed):
        if not isinstance(one, Tensor) and not (name == "grad_outputs" and one is None):
            raise TypeError(f"grad: {name}[{index}] is a {type(one).__name__}, expected a Tensor")
    return listed


def _seed(op: str, y: Tensor, gy: Tensor | None) -> Tensor:
    if gy is None:
        if y.data.size != 1:
            raise ShapeError(f"{op}: the output has shape {y.shape}; give a gradient of that shape")
        return full_like(y, 1)
    return _fit(op, as_tensor(gy), y)


def _fit(op: str, gy: Tensor, y: Tensor) -> Tensor:
    if gy.shape != y.shape or gy.dtype != y.dtype:
        raise ShapeError(
            f"{op}: the gradient is {gy.shape} {gy.dtype}, expected {y.shape} {y.dtype}"
        )
    kernels.of(op, [y.data, gy.data], ("the tensor", "the gradient"))  # on one device
    return gy


def tensor(
    data: Any, dtype: Any = None, requires_grad: bool = False, device: str | None = None
) -> Tensor:
    """A tensor with a copy of `data`; Python numbers become float32, arrays keep their dtype.

    It is made on `device`; unless given, on a tensor's own one, else on that of `mf.device`.

    >>> tensor([1.0, 2.0]).dtype, tensor(np.zeros(2)).dtype, tensor([1, 2]).dtype
    (dtype('float32'), dtype('float64'), dtype('int64'))
    """
    if isinstance(data, Tensor):
        data, device = data.data, device or data.device
    if on_gpu(data):
        made, device = kernels.copied("tensor", data, dtype), device or "cuda"
    else:
        made = host_array("tensor", data, dtype)
    return Tensor(kernels.settled(made, device), requires_grad)


def as_tensor(value: Any) -> Tensor:
    """`value` itself if it is a tensor; an array becomes a constant without a copy."""
    if isinstance(value, Tensor):
        return value
    if on_gpu(value) or (hasattr(value, "dtype") and getattr(value, "shape", ()) != ()):
        return Tensor(value)
    return tensor(value)


def full_like(x: Tensor, fill_value: float) -> Tensor:
    """`fill_value` in every place, of x's shape, dtype and device."""
    x = as_tensor(x)
    return Tensor(kernels.of("full_like", [x.data]).full(x.shape, fill_value, x.data))
