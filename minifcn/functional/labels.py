r"""labels: class indices as targets: checked, weighed, and averaged over.

    target_weight   y = x m, its own adjoint        m = k ((1 - s) weight[label] + s mean(weight))
    label_mean      y = sum x / M, nan if M is 0    M = sum k weight[label]        gx = gy / M

with k = [label is not ignore_index] and smoothing s. M, the sum of m for s = 0, is what a loss with
reduction "mean" divides by: a data-parallel step adds up the "sum" losses and these sums over its
processes, then divides once.

Shape   x, y, target: N ...; weight: C. The losses take x: N C ..., or C with a target of no axes
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import kernels
from ..core import Op, Tensor, as_tensor
from ..device import Array, is_floating
from ..samples import Integers, Uniform, draw
from ..shapes import Shape, ShapeError, bind, one_of, whole
from .broadcast import broadcast_to, mean, sum
from .precision import widened
from .reshape import reshape

IMAGE_AXES = {0: "", 1: "L", 2: "H W", 3: "D H W"}


@dataclass(frozen=True)
class TargetWeight(Op):
    """Multiply by what each label weighs; 0 where it is ignored, even if x is infinite."""

    ignore_index: int
    smoothing: float
    linear = True

    def shape(self, x: Shape, target: Shape, weight: Shape) -> Shape:
        return target

    def forward(self, k: Any, x: Array, target: Array, weight: Array) -> Array:
        y: Array = k.target_weight(x, target, weight, self.ignore_index, self.smoothing)
        return y

    def vjp(self, gy: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, None, None]:
        return self(gy, target, weight), None, None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        weight = draw("3", Uniform, smooth=False)
        yield TargetWeight(-100, 0.0), draw("4"), draw("4", Integers, high=3), weight
        yield TargetWeight(1, 0.25), draw("2 3 2"), draw("2 3 2", Integers, high=3), weight


@dataclass(frozen=True)
class LabelMean(Op):
    """The mean of a loss of shape src over the pixels that count. Keeps total = M, nan for 0."""

    ignore_index: int
    src: Shape
    extras = ("total",)
    linear = True

    def shape(self, x: Shape, target: Shape, weight: Shape) -> Shape:
        return ()

    def forward(self, k: Any, x: Array, target: Array, weight: Array) -> tuple[Array, Array]:
        made: tuple[Array, Array] = k.label_mean(x, target, weight, self.ignore_index)
        return made

    def vjp(self, gy: Tensor, total: Tensor) -> tuple[Tensor, None, None]:
        return broadcast_to(gy / total, self.src), None, None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        weight = draw("3", Uniform, smooth=False)
        yield LabelMean(-100, (4,)), draw("4"), draw("4", Integers, high=3), weight
        yield LabelMean(1, (2, 3, 2)), draw("2 3 2"), draw("2 3 2", Integers, high=3), weight


def counted_weight(
    x: Tensor | Array,
    target: Tensor | Array,
    *,
    weight: Tensor | Array | None = None,
    ignore_index: int = -100,
) -> Tensor:
    """The number that a loss on (x, target) with reduction "mean" divides by.

    Without class weights it is the number of pixels whose label counts.

    >>> import minifcn as mf
    >>> counted_weight(mf.tensor([[0.0, 0.0], [0.0, 0.0]]), mf.tensor([1, 255]), ignore_index=255)
    tensor(1., dtype=float32)
    """
    x, target, weight, _ = checked("counted_weight", x, target, weight, ignore_index)
    return total_weight(target, weight, ignore_index)


def total_weight(target: Tensor, weight: Tensor, ignore_index: int) -> Tensor:
    """`counted_weight` of arguments that are checked."""
    k = kernels.of("target_weight", [weight.data])
    one = Tensor(k.full(target.shape, 1, weight.data))
    return sum(TargetWeight(ignore_index, 0.0)(one, target, weight))


def checked(
    op: str,
    x: Tensor | Array,
    target: Tensor | Array,
    weight: Tensor | Array | None,
    ignore_index: int,
) -> tuple[Tensor, Tensor, Tensor, bool]:
    """(x, target, weight, whether a batch axis was added), all that a loss kernel relies on."""
    x, target = widened(as_tensor(x)), as_tensor(target)
    if not is_floating(x.dtype):
        raise TypeError(f"{op}: dtype of x is {x.dtype}, expected a floating type")
    if x.ndim == 0:
        raise ShapeError(f"{op}: x has no axes, expected C, N C or N C H W")
    rest = "" if x.ndim == 1 else axis_letters(x.ndim - 2)
    if target.dtype.kind not in "iu":
        raise TypeError(
            f"{op}: dtype of target is {target.dtype}, expected integers: the class index of each "
            f"{'pixel' if rest else 'sample'}"
        )
    ignore_index = whole(op, "ignore_index", ignore_index, None)
    letters = "" if x.ndim == 1 else f"N{rest}"
    bind(op, x=("C" if x.ndim == 1 else f"N C{rest}", x.shape), target=(letters, target.shape))
    weight = class_weights(op, x, weight)
    _check_labels(op, target, letters, weight.shape[0], ignore_index)
    if x.ndim > 1:
        return x, target, weight, False
    return reshape(x, (1, *x.shape)), reshape(target, (1,)), weight, True


def axis_letters(count: int) -> str:
    """ " H W" for two axes after N C; beyond three, numbered letters."""
    letters = IMAGE_AXES.get(count, " ".join(f"D{axis}" for axis in range(count)))
    return f" {letters}" if letters else ""


def class_weights(op: str, x: Tensor, weight: Tensor | Array | None) -> Tensor:
    """The weight of every class; 1 unless given."""
    axis = min(x.ndim - 1, 1)
    C = x.shape[axis]
    if C == 0:
        raise ShapeError(f"{op}: axis {axis} (C) of x is 0, expected at least 1 class")
    if weight is None:
        return Tensor(kernels.of(op, [x.data]).full((C,), 1, x.data))
    weight = as_tensor(weight)
    if weight.shape != (C,):
        raise ShapeError(
            f"{op}: weight has shape {weight.shape}, but axis {axis} (C) of x is {C}, "
            f"expected ({C},): one weight per class"
        )
    if weight.dtype != x.dtype:
        raise TypeError(
            f"{op}: dtype of weight is {weight.dtype}, but dtype of x is {x.dtype}; convert one "
            f"with .astype()"
        )
    return weight.detach()


def _check_labels(op: str, target: Tensor, letters: str, classes: int, ignore_index: int) -> None:
    k = kernels.of(op, [target.data])
    position = k.first_bad_label(target.data, classes, ignore_index)
    if position < 0:
        return
    place = []
    for size in reversed(target.shape):
        place.append(position % size)
        position //= size
    element = tuple(reversed(place))
    label = target.numpy()[element]
    where = f"element {element} ({letters}) of target" if letters else "target"
    raise ValueError(
        f"{op}: {where} is {label}, but x has {classes} classes along C, expected 0 to "
        f"{classes - 1}, or ignore_index {ignore_index}"
    )


def check_reduction(op: str, reduction: str) -> str:
    """`reduction`, if it is one of the three words."""
    return one_of(op, "reduction", reduction, ("mean", "sum", "none"))


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """All elements, their sum, or their mean."""
    if reduction == "none":
        return loss
    return sum(loss) if reduction == "sum" else mean(loss)


def reduced_by_labels(
    loss: Tensor, reduction: str, target: Tensor, weight: Tensor, ignore_index: int
) -> Tensor:
    """All elements, their sum, or their mean over the pixels that count; of none nan."""
    if reduction != "mean":
        return reduced(loss, reduction)
    return LabelMean(ignore_index, loss.shape)(loss, target, weight)
