r"""cross_entropy: how surprising the labels are under softmax(x), in one fused pair.

With s the label smoothing, k = [label is not ignore_index] and p = softmax(x) over the classes,

    q_c = k weight_c ((1 - s) [c = label] + s/C)            the weight of class c at this pixel
    cross_entropy        y = -sum_c q_c log p_c
    cross_entropy_grad   gx_c = gy (m p_c - q_c)            m = sum_c q_c, made by target_weight

The gradient is linear in gy, and in x a softmax: for an upstream h and <h, p> = sum_c h_c p_c,

    ggy = sum_c h_c (m p_c - q_c)        ggx_c = gy m p_c (h_c - <h, p>)

Shape   x: N C ..., target: N ..., weight: C -> y: N ...
Cost    two passes over x forward (largest, exponential), one backward; keeps x and 2 N ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..core import Op, Tensor, as_tensor, full_like
from ..device import Array, is_floating
from ..samples import Derived, Integers, Uniform, draw
from ..shapes import Shape, bind, real
from .broadcast import sum
from .labels import (
    TargetWeight,
    axis_letters,
    check_reduction,
    checked,
    class_weights,
    reduced,
    reduced_by_labels,
)
from .precision import widened
from .reshape import reshape
from .softmax import Softmax, log_softmax


@dataclass(frozen=True)
class CrossEntropy(Op):
    """The loss of every pixel. Keeps top = max_c x and total = sum_c e^(x - top)."""

    ignore_index: int
    smoothing: float
    extras = ("top", "total")

    def shape(self, x: Shape, target: Shape, weight: Shape) -> Shape:
        return target

    def forward(self, k: Any, x: Array, target: Array, weight: Array) -> tuple[Array, Array, Array]:
        made: tuple[Array, Array, Array] = k.cross_entropy(
            x, target, weight, self.ignore_index, self.smoothing
        )
        return made

    def vjp(
        self, gy: Tensor, x: Tensor, target: Tensor, weight: Tensor, top: Tensor, total: Tensor
    ) -> tuple[Tensor, None, None]:
        grad = CrossEntropyGrad(self.ignore_index, self.smoothing)
        return grad(gy, x, target, weight, top, total), None, None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for options, x, target, weight in _samples():
            yield CrossEntropy(*options), x, target, weight


@dataclass(frozen=True)
class CrossEntropyGrad(Op):
    """gx = gy (m p - q). `top` and `total` are functions of x, and its vjp counts them so."""

    ignore_index: int
    smoothing: float
    linear = True

    def shape(self, gy: Shape, x: Shape, *others: Shape) -> Shape:
        return x

    def forward(
        self, k: Any, gy: Array, x: Array, target: Array, weight: Array, top: Array, total: Array
    ) -> Array:
        gx: Array = k.cross_entropy_grad(
            gy, x, target, weight, top, total, self.ignore_index, self.smoothing
        )
        return gx

    def vjp(
        self,
        h: Tensor,
        gy: Tensor,
        x: Tensor,
        target: Tensor,
        weight: Tensor,
        top: Tensor,
        total: Tensor,
    ) -> tuple[Callable[[], Tensor] | None, ...]:
        def ggy() -> Tensor:
            return sum(h * self(full_like(gy, 1), x, target, weight, top, total), 1)  # N ...

        def ggx() -> Tensor:
            p = Softmax(1)(x)  # N C ...
            gym = TargetWeight(self.ignore_index, self.smoothing)(gy, target, weight)  # N ...
            scale = reshape(gym, (gy.shape[0], 1, *gy.shape[1:]))  # N 1 ...
            return scale * p * (h - sum(h * p, 1, keepdims=True))

        return ggy, ggx, None, None, None, None

    @staticmethod
    def samples() -> Iterator[tuple[Any, ...]]:
        for options, x, target, weight in _samples():
            gy, cached = draw(" ".join(map(str, target.shape))), _cached(*options)
            yield CrossEntropyGrad(*options), gy, x, target, weight, *cached


def _samples() -> Iterator[tuple[Any, ...]]:
    weight = draw("3", Uniform, smooth=False)
    yield (-100, 0.0), draw("4 3"), draw("4", Integers, high=3), weight
    yield (1, 0.2), draw("2 3 2 3"), draw("2 2 3", Integers, high=3), weight
    yield (255, 0.0), draw("2 3 4"), draw("2 4", Integers, high=3), weight


def _cached(ignore_index: int, smoothing: float) -> Iterator[Derived]:
    """How a sample's top and total come from (gy, x, target, weight)."""
    from ..kernels.reference import cross_entropy as loops

    for index in (1, 2):
        yield Derived(
            (),
            make=lambda gy, x, target, weight, *top, index=index: loops(
                x, target, weight, ignore_index, smoothing
            )[index],
        )


def cross_entropy(
    x: Tensor | Array,
    target: Tensor | Array,
    *,
    weight: Tensor | Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(x) at the labels, weighed by class, averaged over the pixels that count.

    "mean" divides by the summed weights of the labels that count (`counted_weight`); if none counts
    the mean is nan, as in PyTorch. A target of x's shape and a floating type holds probabilities of
    classes; then "mean" divides by the number of pixels, and no pixel is ignored.

    Shape   x: N C ... (or C); target: integers N ... (or no axes), or probabilities as x; weight: C

    >>> import minifcn as mf
    >>> x = mf.tensor([[0.0, 0.0, 0.0, 0.0]])
    >>> round(cross_entropy(x, mf.tensor([2])).item(), 4)  # log 4
    1.3863
    """
    check_reduction("cross_entropy", reduction)
    label_smoothing = real("cross_entropy", "label_smoothing", label_smoothing, 0, 1)
    x, target = widened(as_tensor(x)), as_tensor(target)
    if is_floating(target.dtype) and target.ndim == x.ndim:
        return _with_probabilities(x, widened(target), weight, reduction, label_smoothing)
    x, target, weight, single = checked("cross_entropy", x, target, weight, ignore_index)
    loss = CrossEntropy(ignore_index, label_smoothing)(x, target, weight)
    if single and reduction == "none":
        return reshape(loss, ())
    return reduced_by_labels(loss, reduction, target, weight, ignore_index)


def _with_probabilities(
    x: Tensor, target: Tensor, weight: Tensor | Array | None, reduction: str, smoothing: float
) -> Tensor:
    """-sum_c weight_c q_c log p_c, q = (1 - s) target + s/C; the target gets a gradient too."""
    axis = min(x.ndim - 1, 1)
    letters = "C" if x.ndim == 1 else f"N C{axis_letters(x.ndim - 2)}"
    C = bind("cross_entropy", x=(letters, x.shape), target=(letters, target.shape))["C"]
    column = (C, *(1,) * (x.ndim - 1 - axis))
    q = target * (1 - smoothing) + smoothing / C if smoothing else target
    q = q * reshape(class_weights("cross_entropy", x, weight), column)
    loss = -sum(q * log_softmax(x, axis), axis)
    return reduced(loss, reduction)
