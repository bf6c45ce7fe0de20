"""train: a training run: the loop, what it scores, how it stops and goes on."""

from .metrics import Confusion as Confusion
from .recipe import Recipe as Recipe
from .recipe import evaluate as evaluate
from .recipe import prepare as prepare
from .trainer import Trainer as Trainer
from .trainer import segmentation_loss as segmentation_loss
