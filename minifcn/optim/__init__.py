"""optim: what changes parameters: SGD, learning-rate schedules, clipping."""

from .sgd import SGD

__all__ = ["SGD"]
