"""device: the only door between host memory (NumPy) and a GPU (CuPy).

`of(array)` names the device an array lives on; `to_host` and `to_device` move it, explicitly.
`device("cuda")` says where new tensors are made. CuPy is imported when a CUDA device is asked for,
never before, and what it lacks is said in one sentence.
"""

from __future__ import annotations

import importlib
from contextlib import ContextDecorator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .modes import mode
from .shapes import one_of, shown

Array = NDArray[Any]

DEVICES = ("cpu", "cuda")
INSTALL = (
    "install minifcn[cuda13] or minifcn[cuda12], the CUDA version that nvidia-smi shows: "
    "pip install -e '.[cuda13]' in the folder of minifcn"
)


class device(str, ContextDecorator):
    """A device by its name; within it, new tensors and new layers are made there.

    Usable as `with device("cuda"):` and as a decorator; nests, and restores what was before.

    >>> with device("cpu"):
    ...     mode.device
    'cpu'
    """

    def __new__(cls, name: str) -> device:
        made = super().__new__(cls, check(name))
        made.outer = []
        return made

    outer: list[str]

    def __enter__(self) -> device:
        self.outer.append(mode.device)
        mode.device = str(self)
        return self

    def __exit__(self, *error: object) -> None:
        mode.device = self.outer.pop()


def check(name: str) -> str:
    """`name`, if it is a device that minifcn knows."""
    return one_of("device", "name", name, DEVICES)


def of(array: object) -> str:
    """The device on which `array` lives."""
    if isinstance(array, np.ndarray):
        return "cpu"
    if type(array).__module__.partition(".")[0] == "cupy":
        return "cuda"
    raise TypeError(
        f"device: got a {type(array).__name__}, expected an array of NumPy, or of CuPy on a GPU"
    )


def on_gpu(data: object) -> bool:
    """Whether it is an array in the memory of a GPU."""
    return type(data).__module__.partition(".")[0] == "cupy" and hasattr(data, "dtype")


def to_device(array: Array, name: str | None) -> Array:
    """`array` on the device of this name, None: where new tensors are made; itself if it is there.

    >>> to_device(np.zeros(2), None)
    array([0., 0.])
    """
    name = mode.device if name is None else check(name)
    if name == of(array):
        return array
    if name == "cpu":
        return to_host(array)
    return upload(array)


def to_host(array: Array) -> Array:
    """`array` in host memory, in the order in which it lies; itself if it is there already."""
    if isinstance(array, np.ndarray):
        return array
    if _captured():  # where CUDA would break the capture off
        raise RuntimeError("device: a value is wanted while the GPU's work is captured")
    axes = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    back = sorted(range(array.ndim), key=lambda place: axes[place])
    host: Array = cupy().asnumpy(array.transpose(axes))  # CuPy has to copy only what has gaps
    return host.transpose(back)


def upload(array: Array) -> Array:
    """A host array in device memory. Not while a step is captured: its replays would read memory
    of the host that is somebody else's by then."""
    if _captured():
        raise RuntimeError("an array of the host goes to the GPU in every step")
    made: Array = cupy().asarray(array)
    return made


def _captured() -> bool:
    """Whether a CUDA graph is being made of what is sent to the GPU."""
    return bool(cupy().cuda.get_current_stream().is_capturing())


def host_array(op: str, data: Any, dtype: Any = None) -> Array:
    """A copy of `data` in host memory; Python's fractions become float32."""
    dtype = by_name(dtype)
    try:
        array = np.array(data, dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        wanted = "" if dtype is None else f" as dtype {shown(dtype)}"
        raise type(error)(
            f"{op}: cannot read {shown(data)}{wanted}, expected numbers in rows of equal length "
            f"({error})"
        ) from None
    if (
        dtype is None
        and array.dtype == np.float64
        and not isinstance(data, (np.ndarray, np.generic))
    ):
        array = array.astype(np.float32)
    known: Array = checked(op, "data", array)
    return known


def checked(op: str, name: str, array: Any) -> Any:
    """`array`, if it is one and holds floats, whole numbers or bools."""
    dtype = getattr(array, "dtype", None)
    if dtype is None or isinstance(array, np.generic) or hasattr(array, "detach"):  # a tensor
        raise TypeError(f"{op}: {name} is a {type(array).__name__}, expected an array")
    if dtype.kind not in "fiub" and not is_floating(dtype):
        raise TypeError(f"{op}: dtype of {name} is {dtype}, expected float, int or bool")
    # Files may hold the bytes of another machine, and kernels compare dtypes.
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


# ---- numbers with a fraction ---------------------------------------------------------------------


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Whether it holds fractions. NumPy counts bfloat16 among the types that it does not know.

    >>> is_floating(np.dtype("f2")), is_floating(np.dtype("i4"))
    (True, False)
    """
    return dtype.kind == "f" or is_bfloat16(dtype)


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Whether it is float32 without its last 16 bits: few digits, but its range."""
    return dtype.kind == "V" and dtype.name == "bfloat16"


def is_half(dtype: np.dtype[Any]) -> bool:
    """Whether it is one of the two floating types of 16 bits."""
    return dtype == np.float16 or is_bfloat16(dtype)


def by_name(dtype: Any) -> Any:
    """`dtype`, but for the word "bfloat16", which NumPy may not know yet, that type."""
    return bfloat16() if isinstance(dtype, str) and dtype == "bfloat16" else dtype


def bfloat16() -> Any:
    """The scalar type bfloat16; NumPy has it from the package ml_dtypes."""
    try:
        return importlib.import_module("ml_dtypes").bfloat16
    except ImportError as error:
        raise RuntimeError(
            "bfloat16 needs the package ml_dtypes, which comes with minifcn[cuda12] and "
            "minifcn[cuda13]; install it with pip install ml_dtypes"
        ) from error


# ---- CuPy ----------------------------------------------------------------------------------------


@cache
def cupy() -> Any:
    """The CuPy module, if there is a GPU for it; for this file and the CuPy kernels alone."""
    try:
        module = importlib.import_module("cupy")
    except ImportError as error:
        found = "is not installed" if error.name == "cupy" else f"cannot be imported ({error})"
        raise RuntimeError(f"device: 'cuda' needs CuPy, which {found}; {INSTALL}") from error
    if int(module.__version__.partition(".")[0]) < 14:
        raise RuntimeError(
            f"device: 'cuda' needs CuPy 14 or newer, but {module.__version__} is installed; "
            f"uninstall it, then {INSTALL}"
        )
    try:
        count = module.cuda.runtime.getDeviceCount()
    except RuntimeError as error:
        raise RuntimeError(f"device: 'cuda' {_no_gpu(str(error))}") from error
    if count == 0:
        raise RuntimeError(f"device: 'cuda' {_no_gpu('cudaErrorNoDevice')}")
    return module


def _no_gpu(reason: str) -> str:
    """What the CUDA runtime's first error means."""
    if "cudaErrorInsufficientDriver" in reason:
        return (
            "needs an NVIDIA driver, which is missing or older than the installed CUDA; install a "
            "newer driver, or minifcn[cuda12] in place of minifcn[cuda13]"
        )
    if "cudaErrorNoDevice" in reason:
        return (
            "needs a GPU, and the driver shows none; if nvidia-smi lists one, look at "
            "CUDA_VISIBLE_DEVICES, or install an NVIDIA driver for it"
        )
    return f"does not start ({reason}); reinstall the NVIDIA driver if nvidia-smi fails too"


def compiler_error(error: Exception) -> Exception:
    """Why CUDA's compiler does not work, if a part of it is missing; else the same error."""
    text = f"{type(error).__name__} {error}"
    if "open source file" in text or "CUDA headers" in text:
        return RuntimeError(
            f"device: 'cuda' needs CUDA's header files, which are missing, as CuPy alone does not "
            f"bring them; {INSTALL}"
        )
    if (
        "NotFoundError" in text
        or "nvrtc" in text.lower()
        and isinstance(error, (OSError, ImportError))
    ):
        return RuntimeError(
            f"device: 'cuda' needs NVRTC, CUDA's compiler, which is missing, as CuPy alone does "
            f"not bring it; {INSTALL}"
        )
    return error
