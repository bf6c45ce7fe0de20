"""library: the few words in which minifcn and PyTorch differ, for a user who measures.

lib.tensor(array)       a copy in the library's memory
lib.load(net, values)   parameters by name
lib.gradients(net)      arrays by name
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


class Minifcn:
    """This project."""

    def __init__(self, threads: int = 1) -> None:
        import minifcn

        self.root: Any = minifcn
        self.threads = minifcn.num_threads(threads)
        self.threads.__enter__()  # for as long as this process lives
        self.nn, self.functional, self.optim = minifcn.nn, minifcn.functional, minifcn.optim

    def tensor(self, array: NDArray[Any]) -> Any:
        return self.root.tensor(array)

    def net(self, net: Any, dtype: str = "float32") -> Any:
        return net.astype(dtype)

    def load(self, net: Any, values: Arrays) -> None:
        net.load_state_dict({**net.state_dict(), **values})

    def gradients(self, net: Any) -> Arrays:
        return {name: p.grad.numpy().copy() for name, p in net.named_parameters()}

    def numpy(self, tensor: Any) -> NDArray[Any]:
        array: NDArray[Any] = tensor.numpy()
        return array


class Torch:
    """PyTorch, eager, in one of its two memory layouts."""

    def __init__(self, threads: int = 1, channels_last: bool = False) -> None:
        import torch

        torch.set_num_threads(threads)
        self.root: Any = torch
        self.nn, self.functional, self.optim = torch.nn, torch.nn.functional, torch.optim
        self.layout = torch.channels_last if channels_last else torch.contiguous_format

    def tensor(self, array: NDArray[Any]) -> Any:
        made = self.root.tensor(array)
        return made.to(memory_format=self.layout) if array.ndim == 4 else made

    def net(self, net: Any, dtype: str = "float32") -> Any:
        return net.to(dtype=getattr(self.root, dtype), memory_format=self.layout)

    def load(self, net: Any, values: Arrays) -> None:
        net.load_state_dict({name: self.root.tensor(v) for name, v in values.items()}, strict=False)

    def gradients(self, net: Any) -> Arrays:
        return {name: p.grad.numpy().copy() for name, p in net.named_parameters()}

    def numpy(self, tensor: Any) -> NDArray[Any]:
        array: NDArray[Any] = tensor.detach().numpy()
        return array


def shapes(net: Any) -> dict[str, tuple[int, ...]]:
    """Of the parameters, by name."""
    return {name: tuple(p.shape) for name, p in net.named_parameters()}


def difference(ours: Arrays, reference: Arrays) -> tuple[float, str]:
    """The largest over the arrays of |a - b| / |b| (Euclidean), and whose it is."""
    worst, whose = 0.0, ""
    for name, right in reference.items():
        wide = right.astype(np.float64)
        size = float(np.linalg.norm(wide))
        off = float(np.linalg.norm(ours[name] - wide)) / max(size, 1e-30)
        if not off <= worst:  # a nan counts as the worst
            worst, whose = off, name
    return worst, whose
