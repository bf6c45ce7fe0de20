"""cuda_emu: CUDA kernels and `cupy` on a machine without a GPU, for tests alone. See README.md."""

from .find import Cuda, find_cuda
from .stand_in import install, installed

__all__ = ["Cuda", "find_cuda", "install", "installed"]
