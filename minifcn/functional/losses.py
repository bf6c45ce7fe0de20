r"""losses: two made of other operators.

    mse_loss                            (x - t)^2
    binary_cross_entropy_with_logits    -(q t log p + (1 - t) log(1 - p))        p = sigmoid(x)

with the positive weight q. Since log p = -softplus(-x) and log(1 - p) = log p - x, no logit
overflows and none is rounded to p = 0 or 1.

Shape   x, t, y: same
"""

from __future__ import annotations

from .. import kernels
from ..core import Tensor, as_tensor
from ..device import Array, is_floating
from ..shapes import ShapeError
from .exponential import Softplus, floating
from .labels import check_reduction, reduced
from .precision import widened


def logsigmoid(x: Tensor | Array) -> Tensor:
    """log(sigmoid(x)) = -log(1 + e^-x), for any x.

    >>> import minifcn as mf
    >>> logsigmoid(mf.tensor([-1000.0])).item()
    -1000.0
    """
    return -Softplus()(-widened(floating("logsigmoid", x)))  # softplus(x) is x itself from 20 on


def mse_loss(x: Tensor | Array, target: Tensor | Array, *, reduction: str = "mean") -> Tensor:
    """Squared differences, their mean or their sum.

    >>> import minifcn as mf
    >>> mse_loss(mf.tensor([1.0, 2.0]), mf.tensor([1.0, 4.0])).item()
    2.0
    """
    check_reduction("mse_loss", reduction)
    x, target = _alike("mse_loss", x, target)
    d = x - target
    return reduced(d * d, reduction)


def binary_cross_entropy_with_logits(
    x: Tensor | Array,
    target: Tensor | Array,
    weight: Tensor | Array | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | Array | None = None,
) -> Tensor:
    """Cross-entropy of yes-or-no labels, t from 0 to 1, under sigmoid(x).

    `weight` multiplies every loss, `pos_weight` the part where t is 1; both broadcast to x.

    >>> import minifcn as mf
    >>> x = mf.tensor([0.0, 1000.0])
    >>> binary_cross_entropy_with_logits(x, mf.tensor([1.0, 0.0]), reduction="sum").item() > 1000
    True
    """
    op = "binary_cross_entropy_with_logits"
    check_reduction(op, reduction)
    x, target = _alike(op, x, target)
    weights = {"weight": weight, "pos_weight": pos_weight}
    given = {name: as_tensor(one).data for name, one in weights.items() if one is not None}
    kernels.of(op, [x.data, *given.values()], ["x", *given], mixed=True)  # on one device
    positive = target if pos_weight is None else target * as_tensor(pos_weight)
    no = 1 - target  # (1 - t) (x - log p) - q t log p
    loss = no * x - (no + positive) * logsigmoid(x)
    return reduced(loss if weight is None else loss * as_tensor(weight), reduction)


def _alike(op: str, x: Tensor | Array, target: Tensor | Array) -> tuple[Tensor, Tensor]:
    x, target = widened(as_tensor(x)), widened(as_tensor(target))
    if x.shape != target.shape:
        pairs = enumerate(zip(x.shape, target.shape, strict=False))
        axis = next((axis for axis, (m, n) in pairs if m != n), min(x.ndim, target.ndim))
        raise ShapeError(
            f"{op}: target has shape {target.shape}, but x has {x.shape}: they differ on axis "
            f"{axis}, expected the same"
        )
    for name, one in (("x", x), ("target", target)):
        if not is_floating(one.dtype):
            raise TypeError(f"{op}: dtype of {name} is {one.dtype}, expected a floating type")
    kernels.of(op, [x.data, target.data], ("x", "target"))
    return x, target
