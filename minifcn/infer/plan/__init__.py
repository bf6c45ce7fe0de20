"""plan: a network on photos of one size, worked out once and then run by NumPy alone.

    trace      what operators the network calls on an image of that size; constants are set apart
    join       a norm goes into the convolution before it, PReLU into the pass that makes its input
    place      parts of a concatenation are made where they belong; buffers are used again
    run        photo after photo: products, copies and ufuncs with `out=`, and no allocation

Images lie C H W here, planes of rows: each channel has its numbers by itself, so that scale, shift
and slope of a channel are one number for a long run, a range of channels is one piece of memory,
and a tap of a convolution is a copy of rows. (A training step is better off with H W N C.)

The result is that of the network but for rounding: scales are multiplied into weights first. That
it is the same is tried on noise when a plan is made; a network that decides by what it sees, or
that computes outside of operators, is refused.
"""

from .plan import Plan, PlanError
from .plans import Plans

__all__ = ["Plan", "PlanError", "Plans"]
