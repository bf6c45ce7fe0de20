"""numpy_kernels: the CPU twin. One file per family; every public function is in the contract."""

from .compare import *
from .conv import *
from .elementwise import *
from .label_mean import *
from .layout import *
from .loss import *
from .norm import *
from .optim import *
from .pad import *
from .plane import *
from .pool import *
from .random import *
from .resize import *
from .structure import *
from .write import *
