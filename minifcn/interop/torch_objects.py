"""torch_objects: what a file of PyTorch may hold: storages, and tensors that are views of them.

    tensor[i, j, ...] = storage[offset + i stride_0 + j stride_1 + ...]

Only these names are known; each stands for a few lines here, none for anything of another library.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..device import Array
from .pickles import KEYS, Named

WIDEST = 1 << 28  # elements of a tensor that repeats its storage (stride 0)

# What a storage's or a dtype's name means; bfloat16 is widened when it is read.
DTYPES = {
    "float64": "f8", "float32": "f4", "float16": "f2", "bfloat16": "bf", "int64": "i8",
    "int32": "i4", "int16": "i2", "int8": "i1", "uint8": "u1", "uint16": "u2", "uint32": "u4",
    "uint64": "u8", "bool": "?", "complex64": "c8", "complex128": "c16",
}  # fmt: skip
STORAGES = {
    "Double": "f8", "Float": "f4", "Half": "f2", "BFloat16": "bf", "Long": "i8", "Int": "i4",
    "Short": "i2", "Char": "i1", "Byte": "u1", "Bool": "?", "ComplexFloat": "c8",
    "ComplexDouble": "c16",
}  # fmt: skip
UNTYPED = "untyped"


@dataclass(frozen=True)
class Storage:
    """A row of `count` numbers under `key`, `start` numbers into it."""

    dtype: str
    key: str
    count: int
    start: int = 0


@dataclass(frozen=True)
class View:
    """A tensor."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def array(self, numbers: Array) -> Array:
        """The tensor as a view of its storage's numbers, which nobody may write."""
        storage = self.storage
        numbers = numbers[storage.start : storage.start + storage.count]
        step = numbers.dtype.itemsize
        return np.lib.stride_tricks.as_strided(
            numbers[self.offset :], self.size, [s * step for s in self.stride], writeable=False
        )


def storage_of(parts: Any) -> Storage:
    """From the id under which a pickle refers to it: ("storage", type, key, device, count, ...)."""
    if not isinstance(parts, tuple) or len(parts) not in (5, 6) or parts[0] != "storage":
        raise ValueError("refers to an object outside that is no storage")
    kind, key, count = parts[1], parts[2], parts[4]
    if not isinstance(kind, Named) or not str(kind.name).endswith("Storage"):
        raise ValueError("refers to a storage of no type")
    if not isinstance(key, str) or not _counts((count,)):
        raise ValueError("refers to a storage without key or size")
    view = parts[5] if len(parts) == 6 else None
    if view is None:
        return Storage(kind.value, key, count)
    if not isinstance(view, tuple) or len(view) != 3 or not _counts(view[1:]):
        raise ValueError("refers to a part of a storage in an unknown way")
    return Storage(kind.value, key, view[2], view[1])  # PyTorch below 0.4


def rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> View:
    """A view, if it stays inside its storage."""
    size, stride = (tuple(v) if isinstance(v, (tuple, list)) else v for v in (size, stride))
    if not isinstance(storage, Storage) or storage.dtype == UNTYPED:
        raise ValueError("its first argument is no storage with a type")
    if not (_counts(size) and _counts(stride) and _counts((offset,))):
        raise ValueError("offset, size and stride must be counts")
    if len(size) != len(stride) or len(size) > 32:
        raise ValueError(f"size has {len(size)} axes, stride {len(stride)}")
    count = math.prod(size)
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if count else 0
    if last >= max(storage.count, 1) or (count and not storage.count):
        raise ValueError(
            f"a tensor of shape {size!r:.60} ends at element {last!r:.20} of a storage of "
            f"{storage.count!r:.20}"
        )
    if count > max(storage.count, WIDEST):
        raise ValueError(f"a tensor of shape {size!r:.60} repeats {storage.count} numbers")
    return View(storage, offset, size, stride)


def rebuild_tensor_v3(
    storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, dtype: Any, *_: Any
) -> View:
    """A view of a storage that has no type of its own."""
    if not isinstance(storage, Storage) or storage.dtype != UNTYPED:
        raise ValueError("its first argument is no storage without a type")
    if not isinstance(dtype, Named) or dtype.value not in DTYPES.values():
        raise ValueError("its dtype is none")
    count = storage.count // itemsize(dtype.value)
    return rebuild_tensor(Storage(dtype.value, storage.key, count), offset, size, stride)


def rebuild_parameter(data: Any, *_: Any) -> View:
    """A parameter is its tensor."""
    if not isinstance(data, View):
        raise ValueError("its first argument is no tensor")
    return data


def rebuild_from_type(function: Any, kind: Any, arguments: Any, state: Any) -> View:
    """A tensor with attributes, which are dropped."""
    plain = ("torch.Tensor", "torch.nn.parameter.Parameter")
    if not isinstance(kind, Named) or kind.name not in plain:
        raise ValueError("it makes neither a Tensor nor a Parameter")
    if not isinstance(function, Named) or function.value not in (rebuild_tensor, rebuild_parameter):
        raise ValueError("it makes a tensor in an unknown way")
    if not isinstance(arguments, tuple):
        raise ValueError("it has no arguments")
    made: View = function.value(*arguments)
    return made


def ordered(pairs: Any = ()) -> dict[Any, Any]:
    """An OrderedDict is a dict; Python 2 wrote its entries as a list of pairs."""
    if not isinstance(pairs, (list, tuple)):
        raise ValueError("expected a list of pairs")
    if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
        raise ValueError("expected a list of pairs")
    if not all(isinstance(key, KEYS) for key, _ in pairs):
        raise ValueError("expected words or numbers as keys")
    return dict(pairs)


def default(*_: Any) -> dict[Any, Any]:
    """A defaultdict is a dict."""
    return {}


def latin(text: Any, encoding: Any = "latin1") -> bytes:
    """How protocol 2 writes bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("expected latin1")
    return text.encode("latin1")


def size(counts: Any = ()) -> tuple[Any, ...]:
    """torch.Size."""
    if not _counts(counts):
        raise ValueError("expected counts")
    return tuple(counts)


def device(*_: Any) -> None:
    """On which device a tensor once was does not matter."""


NAMES: dict[str, Any] = {
    "torch._utils._rebuild_tensor": rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": rebuild_parameter,
    "torch._tensor._rebuild_from_type_v2": rebuild_from_type,
    "torch.Tensor": "Tensor",
    "torch.nn.parameter.Parameter": "Parameter",
    "torch.Size": size,
    "torch.device": device,
    "collections.OrderedDict": ordered,
    "collections.defaultdict": default,
    "builtins.dict": default,
    "__builtin__.dict": default,
    "_codecs.encode": latin,
    "torch.storage.UntypedStorage": UNTYPED,
    **{f"torch.{name}Storage": dtype for name, dtype in STORAGES.items()},
    **{f"torch.{name}": dtype for name, dtype in DTYPES.items()},
}


def harmless(target: Any, state: Any) -> bool:
    """A state given to a dict (its `_metadata`) or to a tensor (its attributes) may be dropped."""
    return isinstance(target, (dict, View))


def itemsize(dtype: str) -> int:
    """Bytes of one number."""
    return 2 if dtype == "bf" else 1 if dtype == UNTYPED else np.dtype(dtype).itemsize


def _counts(values: Any) -> bool:
    whole = (type(value) is int and 0 <= value < 2**62 for value in values)
    return isinstance(values, (tuple, list)) and all(whole)
