"""The convolution triad on the CPU: one file per way to compute it."""

from .im2col import conv2d, conv2d_weight, conv_transpose2d, fold, unfold

__all__ = ["conv2d", "conv2d_weight", "conv_transpose2d", "fold", "unfold"]
