"""optim: what changes parameters: SGD, groups by name, learning-rate schedules, clipping."""

from . import schedule
from .clip import clip_grad_norm
from .groups import groups
from .scaler import GradScaler
from .schedule import Constant, Cosine, OneCycle, Poly, Step, Warmup
from .sgd import SGD

__all__ = [
    "SGD", "Constant", "Cosine", "GradScaler", "OneCycle", "Poly", "Step", "Warmup",
    "clip_grad_norm", "groups", "schedule",
]  # fmt: skip
