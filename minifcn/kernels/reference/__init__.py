"""reference: every kernel as plain loops over indices, copied from the formulas. The oracle.

Slow on purpose, and it shares no code with the kernels that it judges.
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
