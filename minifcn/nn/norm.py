"""norm: batch normalisation as a layer, with its running statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from ..core import Tensor, as_tensor, tensor
from ..modes import mode
from ..shapes import bind, flag, whole
from .module import Module
from .parameter import Parameter, claim, floating_dtype


class BatchNorm2d(Module):
    """Normalise each channel over the batch and the image, then scale and shift; see F.batch_norm.

    In training the statistics are the batch's, and the running ones move towards them by `momentum`
    (None: the plain average over all batches). In inference the running ones are used. Where
    several processes train one model, a batch is what all of them hold together; with `sync` False
    each normalises its own share.

    Shape   x: N C H W -> y: N C H W

    >>> import minifcn as mf
    >>> norm = BatchNorm2d(1)
    >>> y = norm(mf.tensor([[[[1.0, 3.0]]]]))
    >>> round(float(y.numpy()[0, 0, 0, 1]), 3), norm.running_mean.tolist()
    (1.0, [0.20000000298023224])
    """

    takes_relu = True  # see fuse.py
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        sync: bool = True,
    ) -> None:
        C = self.num_features = whole("BatchNorm2d", "num_features", num_features, 1)
        self.eps, self.momentum = eps, momentum
        self.affine = flag("BatchNorm2d", "affine", affine)
        self.track_running_stats = flag("BatchNorm2d", "track_running_stats", track_running_stats)
        self.sync = flag("BatchNorm2d", "sync", sync)
        dtype = floating_dtype("BatchNorm2d", dtype)
        claim("BatchNorm2d", C)
        self.weight = Parameter(np.ones(C, dtype)) if affine else None
        self.bias = Parameter(np.zeros(C, dtype)) if affine else None
        tracked = track_running_stats
        self.register_buffer("running_mean", tensor(np.zeros(C, dtype)) if tracked else None)
        self.register_buffer("running_var", tensor(np.ones(C, dtype)) if tracked else None)
        self.register_buffer("num_batches_tracked", tensor(0) if tracked else None)
        self.to(device or mode.device)

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        """With `relu`, what a ReLU behind this layer would give; see fuse.py."""
        x = as_tensor(x)
        bind("BatchNorm2d", x=("N C H W", x.shape))
        use_batch = self.training or self.running_mean is None
        momentum = 0.0 if self.momentum is None else self.momentum
        count = self.num_batches_tracked if self.training else None
        if count is not None and self.momentum is None:
            momentum = 1 / (count.item() + 1)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias,
                            use_batch, momentum, self.eps, num_batches_tracked=count,
                            sync=self.sync, relu=relu)  # fmt: skip

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}{'' if self.sync else ', sync=False'}"
        )
