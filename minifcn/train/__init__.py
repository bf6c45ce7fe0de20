"""train: a training run: the loop, what it scores, how it stops and goes on."""

from .communicator import Communicator as Communicator
from .communicator import One as One
from .loss import SegmentationLoss as SegmentationLoss
from .loss import segmentation_loss as segmentation_loss
from .metrics import Confusion as Confusion
from .mpi import MPI as MPI
from .recipe import Recipe as Recipe
from .recipe import evaluate as evaluate
from .recipe import prepare as prepare
from .trainer import Trainer as Trainer
from .workers import WorkerError as WorkerError
