"""minifcn: fully convolutional networks from scratch, in NumPy and CuPy.

    import minifcn as mf
    import minifcn.functional as F

Heavy rooms (nn, models, data, train, infer ...) load on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from . import cuda
from .anomaly import AnomalyError, detect_anomaly
from .autocast import autocast
from .core import Op, Tensor, as_tensor, full_like, grad, tensor
from .creation import arange, full, ones, ones_like, rand, randn, zeros, zeros_like
from .device import device
from .modes import enable_grad, no_grad
from .shapes import ShapeError
from .versions import VersionError

if TYPE_CHECKING:
    from . import functional, nn, optim
    from .checks import GradientError, adjoint_check, gradcheck, gradcheck_report, gradgradcheck
    from .kernels.cupy_kernels.precision import (
        get_float32_matmul_precision,
        set_float32_matmul_precision,
    )
    from .kernels.forced import conv_algorithm
    from .kernels.numpy_kernels.conv.explain import explain_choice
    from .kernels.numpy_kernels.memory import memory_counts, release_memory
    from .kernels.numpy_kernels.threads import num_threads
    from .kernels.numpy_kernels.workspace import limit_workspace
    from .window import Window

__version__ = "0.1.0"

float16, float32, float64 = np.float16, np.float32, np.float64
uint8, int32, int64 = np.uint8, np.int32, np.int64

__all__ = [
    "AnomalyError", "GradientError", "Op", "ShapeError", "Tensor", "VersionError", "Window",
    "adjoint_check", "arange", "as_tensor", "autocast", "conv_algorithm", "cuda", "detect_anomaly",
    "device", "enable_grad", "explain_choice", "float16", "float32", "float64", "full", "full_like",
    "functional", "get_float32_matmul_precision", "grad", "gradcheck", "gradcheck_report",
    "gradgradcheck", "int32", "int64", "limit_workspace", "memory_counts", "nn", "no_grad",
    "num_threads", "ones", "ones_like", "optim", "rand", "randn", "release_memory",
    "set_float32_matmul_precision", "tensor", "uint8", "zeros", "zeros_like",
]  # fmt: skip

# These load their file on first use.
_CHECKS = (
    "GradientError", "adjoint_check", "gradcheck", "gradcheck_report", "gradgradcheck",
)  # fmt: skip
_KERNELS = {  # what the kernels can be told or asked -> where
    "conv_algorithm": "forced",
    "explain_choice": "numpy_kernels.conv.explain",
    "get_float32_matmul_precision": "cupy_kernels.precision",
    "limit_workspace": "numpy_kernels.workspace",
    "memory_counts": "numpy_kernels.memory",
    "num_threads": "numpy_kernels.threads",
    "release_memory": "numpy_kernels.memory",
    "set_float32_matmul_precision": "cupy_kernels.precision",
}
_ROOMS = (
    "checks",
    "data",
    "functional",
    "infer",
    "interop",
    "live",
    "models",
    "nn",
    "optim",
    "study",
    "train",
)

# What PyTorch users look for here and find in `functional` too.
_FUNCTIONS = (
    "abs", "argmax", "argmin", "cat", "chunk", "clamp", "exp", "flatten", "gather", "log", "matmul",
    "max", "maximum", "mean", "min", "minimum", "permute", "pow", "relu", "reshape", "sigmoid",
    "softmax", "split", "sqrt", "squeeze", "stack", "sum", "tanh", "transpose", "unsqueeze", "var",
    "where",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f".{name}", __name__)
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(".functional", __name__), name)
    if name in _CHECKS:
        return getattr(importlib.import_module(".checks", __name__), name)
    if name == "bfloat16":
        return importlib.import_module(".device", __name__).bfloat16()
    if name == "Window":
        return importlib.import_module(".window", __name__).Window
    if name in _KERNELS:
        module = importlib.import_module(f".kernels.{_KERNELS[name]}", __name__)
        return getattr(module, name)
    raise AttributeError(f"module 'minifcn' has no attribute {name!r}")
