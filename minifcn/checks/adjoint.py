"""adjoint: is the backward pass of a linear function its adjoint?   <A x, y> = <x, A* y>

An identity, not an approximation: no step size, no kink, and the error is that of rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import Tensor, as_tensor, grad
from ..device import Array, to_device, to_host
from ..shapes import function
from .check import GradientError
from .examine import Finding
from .problem import name_of


def adjoint_check(
    fn: Callable[..., Any],
    inputs: Any,
    adjoint: Callable[..., Any] | None = None,
    *,
    rtol: float = 1e-12,
    seed: int = 0,
) -> bool:
    """True if <fn(x), y> = <x, fn* y> for fn linear in its first input, else a GradientError.

    fn* is the gradient of fn, taken at another point than x, or `adjoint(y, *other_inputs)`. x and
    y are drawn at random; `inputs` gives the shape of x, and the values of the others; a
    single one needs no list.

    >>> import numpy as np, minifcn as mf
    >>> adjoint_check(lambda x: x.sum(axis=0), [np.ones((2, 3))])
    True
    """
    function("adjoint_check", "fn", fn)
    given = inputs if isinstance(inputs, (tuple, list)) else [inputs]
    first, *others = [
        Tensor(to_device(x, None)) if isinstance(x, np.ndarray) else as_tensor(x) for x in given
    ]
    device = first.device
    name, rng = name_of(fn), np.random.default_rng(seed)
    x, z, elsewhere = (np.asarray(rng.standard_normal(first.shape)) for _ in range(3))

    def there(values: Any) -> Tensor:
        return Tensor(to_device(np.asarray(values), device))

    def f(values: Array) -> Array:
        return to_host(fn(there(values), *others).data)

    ax, az = f(x), f(z)
    y = rng.standard_normal(ax.shape)
    limit = rtol * max(float(np.linalg.norm(ax)), float(np.linalg.norm(az)), 1e-30)
    bent = float(np.abs(f(2 * x + z) - (2 * ax + az)).max(initial=0))
    if bent > 10 * limit:
        words = f"not linear: f(2x + z) and 2 f(x) + f(z) differ by {bent:.3g}"
        raise GradientError(name, Finding(1, "input 0", None, float("nan"), float("nan"), words))
    if adjoint is None:
        leaf = Tensor(there(elsewhere).data, requires_grad=True)
        back = to_host(grad(fn(leaf, *others), leaf, there(y))[0].data)
    else:
        back = to_host(adjoint(there(y), *others).data)
    left, right = float(np.vdot(ax, y)), float(np.vdot(x, back))
    if not abs(left - right) <= limit * float(np.linalg.norm(y)):
        words = "not the adjoint: <A x, y> is the numeric value, <x, A* y> the analytic"
        raise GradientError(name, Finding(1, "input 0", None, right, left, words))
    return True
