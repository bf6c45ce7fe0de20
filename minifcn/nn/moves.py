"""moves: a module's numbers on another device, or in another floating type.

In place: parameters stay the objects that an optimizer knows, and their gradients come along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from .. import kernels
from ..core import Tensor
from ..device import Array, check, is_floating
from ..functional.move import moved
from .parameter import Parameter, floating_dtype

M = TypeVar("M", bound="Moves")


class Moves:
    """Mixed into Module. All change the module and return it."""

    parameters: Callable[..., Iterator[Parameter]]
    buffers: Callable[[], Iterator[Tensor]]

    def to(self: M, device: str) -> M:
        """Move parameters, their gradients, and buffers to a device."""
        check(device)
        return self._map(lambda data: moved(data, device))

    def cuda(self: M) -> M:
        """Move to the GPU."""
        return self.to("cuda")

    def cpu(self: M) -> M:
        """Move to host memory."""
        return self.to("cpu")

    def astype(self: M, dtype: Any) -> M:
        """Convert the floating parameters and buffers."""
        wanted = floating_dtype("astype", dtype)

        def converted(data: Array) -> Array:
            if not is_floating(data.dtype):
                return data
            made: Array = kernels.of("astype", [data]).cast(data, wanted.name)
            return made

        return self._map(converted)

    def float(self: M) -> M:
        """Convert to float32."""
        return self.astype(np.float32)

    def half(self: M) -> M:
        """Convert to float16."""
        return self.astype(np.float16)

    def double(self: M) -> M:
        """Convert to float64."""
        return self.astype(np.float64)

    def _map(self: M, change: Callable[[Array], Array]) -> M:
        for parameter in self.parameters():
            parameter.replace(change(parameter.data))
        for buffer in self.buffers():
            buffer.data = change(buffer.data)
        return self
