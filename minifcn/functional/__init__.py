"""functional: the operators. One adjoint pair or triad per file; `import minifcn.functional as F`."""

from .arithmetic import add, div, mul, neg, pow, sqrt, sub
from .broadcast import broadcast_to, mean, sum, var
from .conv import conv2d, conv2d_weight, conv_transpose2d
from .reshape import flatten, permute, reshape, transpose
