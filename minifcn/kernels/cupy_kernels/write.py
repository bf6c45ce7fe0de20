"""Writing into an array: cuda/copy.cu, and place.cu for numbers and for listed places."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from ...device import Array, to_host, upload
from .elementwise import cast, copy
from .launch import THREADS, blocks, program, word
from .memory import put, start, views
from .views import bits, broadcast_to, placed_view

__all__ = ["write"]


def write(x: Array, key: Any, value: Any) -> None:
    """x[key] = value, as NumPy has it: of equal places the last one counts.

    Numbers, slices, None and `...` make a view, and all stays on the device. Masks and index arrays
    are read by the host, which waits for them and sends the list of places.
    """
    parts = tuple(map(_plain, key if isinstance(key, tuple) else (key,)))
    if all(type(part) in (int, slice, type(None), type(...)) for part in parts):
        more = () if any(part is ... for part in parts) else (...,)
        _assign(x[(*parts, *more)], value)  # the ... makes a view of a single element
        return
    places = np.asarray(np.arange(x.size).reshape(x.shape)[parts])
    values = _fitted(_array(x, value), places.shape)
    long = (slice(None) if n != 1 else 0 for n in places.shape)
    values = values[(*long, ...)]  # a View has 6 axes
    unique, which = np.unique(places.reshape(-1)[::-1], return_index=True)
    sent = upload(unique), upload(places.size - 1 - which)
    run = program("place", WORD=word(x.dtype))
    run(
        "write_places", blocks(unique.size), THREADS,
        start(values), placed_view(values), sent[1], sent[0], start(x), placed_view(x), unique.size,
    )  # fmt: skip


def _plain(part: Any) -> Any:
    """One entry of a key, on the host; whole numbers as int."""
    if isinstance(part, Integral) and not isinstance(part, (bool, np.bool_)):
        return int(part)
    if hasattr(part, "dtype"):
        host = to_host(np.asarray(part) if isinstance(part, np.generic) else part)
        return int(host) if host.ndim == 0 and host.dtype.kind in "iu" else host
    return part


def _assign(view: Array, value: Any) -> None:
    """view[...] = value."""
    if not hasattr(value, "shape") and not isinstance(value, (list, tuple)) or np.isscalar(value):
        run = program("place", WORD=word(view.dtype))
        ((first, seen),) = views(view)
        run("fill", blocks(view.size), THREADS, bits(value, view.dtype), first, seen, view.size)
        return
    given = _array(view, value)
    if _block(given) is _block(view):
        given = copy(given)  # they may overlap
    put(_fitted(given, view.shape), view)


def _array(x: Array, value: Any) -> Array:
    """The value on the device, in x's dtype."""
    if not hasattr(value, "shape") or isinstance(value, (np.ndarray, np.generic)):
        sent: Array = upload(np.array(value, x.dtype))
        return sent
    return value if value.dtype == x.dtype else cast(value, x.dtype.name)


def _fitted(value: Array, shape: tuple[int, ...]) -> Array:
    """The value repeated to `shape`, or NumPy's error."""
    extra = value.ndim - len(shape)
    own = value.shape[extra:] if extra > 0 else value.shape
    lead = value.shape[: max(extra, 0)]
    sizes = zip(reversed(own), reversed(shape), strict=False)
    if any(n != 1 for n in lead) or any(n not in (1, m) for n, m in sizes):
        raise ValueError(
            f"could not broadcast input array from shape {value.shape} into shape {shape}"
        )
    return broadcast_to(value[(0,) * len(lead)] if lead else value, shape)


def _block(x: Any) -> Any:
    """The allocation in which x lies."""
    return x.data.mem
