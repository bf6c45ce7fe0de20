"""functional: operators, an adjoint pair or triad per file. `import minifcn.functional as F`."""

from .activation import clamp, leaky_relu, relu
from .adaptive_pool import adaptive_avg_pool2d, adaptive_max_pool2d, global_avg_pool2d
from .arithmetic import add, clone, div, mul, neg, pow, sqrt, sub
from .avg_pool import avg_pool2d
from .broadcast import broadcast_to, mean, sum, var
from .cast import cast
from .compare import all, any, eq, ge, gt, le, logical_and, logical_not, logical_or, lt, ne
from .concat import cat, chunk, split, stack
from .conv import conv2d, conv2d_weight, conv_transpose2d
from .cross_entropy import cross_entropy
from .dropout import dropout, dropout2d
from .exponential import abs, exp, log, sigmoid, silu, softplus, tanh
from .extreme import amax, amin, argmax, argmin, max, min
from .gather import gather
from .index import index
from .interpolate import interpolate
from .labels import counted_weight
from .losses import binary_cross_entropy_with_logits, logsigmoid, mse_loss
from .matmul import linear, matmul
from .max_pool import max_pool2d
from .max_unpool import max_unpool2d
from .maximum import maximum, minimum
from .move import to
from .nll_loss import nll_loss
from .normalise import batch_norm
from .pad import crop, pad
from .prelu import prelu
from .reshape import flatten, permute, reshape, squeeze, transpose, unsqueeze
from .select import where
from .softmax import log_softmax, softmax
from .unfold import fold, unfold
