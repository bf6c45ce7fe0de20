"""functional: the operators. One adjoint pair or triad per file; `import minifcn.functional as F`."""

from .activation import clamp, leaky_relu, relu
from .arithmetic import add, div, mul, neg, pow, sqrt, sub
from .batch_norm import batch_norm
from .broadcast import broadcast_to, mean, sum, var
from .concat import cat, chunk, split, stack
from .conv import conv2d, conv2d_weight, conv_transpose2d
from .cross_entropy import cross_entropy
from .dropout import dropout, dropout2d
from .extreme import amax, amin, argmax, argmin, max, min
from .gather import gather
from .index import index
from .labels import counted_weight
from .nll_loss import nll_loss
from .reshape import flatten, permute, reshape, transpose
from .softmax import log_softmax, softmax
