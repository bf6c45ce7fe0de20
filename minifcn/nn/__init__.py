"""nn: layers with parameters: PyTorch's names and argument order, TensorFlow's options too."""

from . import init, regularizers
from .activation import LeakyReLU, LogSoftmax, PReLU, ReLU, Sigmoid, Softmax, Tanh
from .container import Flatten, Identity, ModuleList, Sequential
from .conv import Conv2d, ConvTranspose2d
from .dropout import Dropout, Dropout2d
from .fold import fold
from .layout import from_hwio, from_hwoi, from_nhwc, to_hwio, to_hwoi, to_nhwc
from .linear import Linear
from .loss import CrossEntropyLoss
from .module import Module
from .norm import BatchNorm2d
from .parameter import Parameter
from .pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d, MaxUnpool2d
from .regularizers import L1, L2
from .seed import blank, manual_seed
from .upsample import Upsample

__all__ = [
    "L1", "L2", "AdaptiveAvgPool2d", "AvgPool2d", "BatchNorm2d", "Conv2d", "ConvTranspose2d",
    "CrossEntropyLoss", "Dropout", "Dropout2d", "Flatten", "Identity", "LeakyReLU", "Linear",
    "LogSoftmax", "MaxPool2d", "MaxUnpool2d", "Module", "ModuleList", "PReLU", "Parameter", "ReLU",
    "Sequential", "Sigmoid", "Softmax", "Tanh", "Upsample", "blank", "fold", "from_hwio",
    "from_hwoi", "from_nhwc", "init", "manual_seed", "regularizers", "to_hwio", "to_hwoi",
    "to_nhwc",
]  # fmt: skip
