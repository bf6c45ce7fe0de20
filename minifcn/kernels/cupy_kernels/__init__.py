"""cupy_kernels: the CUDA twin. It launches cuda/*.cu, and holds no mathematics.

What it takes from CuPy is memory, views, streams and the compiler; no ufunc, no cuBLAS.
"""

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
