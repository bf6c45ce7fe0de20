"""key: what stands between the brackets of x[key], read and checked.

A key becomes one range per axis of x; the shape once whole numbers have dropped their axis and None
has made one; and the index arrays on the axes of that shape. A mask stands for the index arrays of
its True places.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .. import kernels
from ..core import Tensor, as_tensor, tensor
from ..device import to_device
from ..shapes import Shape
from .broadcast import broadcast_shapes, broadcast_to

Ranges = tuple[range, ...]


@dataclass(frozen=True)
class Key:
    """A key that has been read against one shape."""

    ranges: Ranges
    shape: Shape
    arrays: dict[int, Tensor] = field(default_factory=dict)


def read(key: Any, x: Tensor) -> Key:
    """The key of x[key], or an error that names its entry and the axis of x."""
    parts = [_entry(place, part, x.device) for place, part in enumerate(_parts(key))]
    named = sum(_axes_of(part) for part in parts)
    if named > x.ndim:
        raise IndexError(f"index: the key names {named} axes, but x has {x.ndim}: {x.shape}")
    ranges: list[range] = []
    shape: list[int] = []
    arrays: dict[int, Tensor] = {}
    for part in _filled(parts, x.ndim - named):
        axis = len(ranges)
        if part is None:
            shape.append(1)
        elif isinstance(part, int):
            ranges.append(_one(part, axis, x.shape))
        elif isinstance(part, slice):
            ranges.append(_slice(part, axis, x.shape))
            shape.append(len(ranges[-1]))
        else:
            for one in _index_arrays(part, axis, x.shape):
                arrays[len(shape)] = one
                shape.append(x.shape[len(ranges)])
                ranges.append(range(shape[-1]))
    return Key(tuple(ranges), tuple(shape), arrays)


def flat_index(arrays: dict[int, Tensor], shape: Shape) -> tuple[Shape, Tensor]:
    """The common shape of the index arrays, and one flat index for their axes merged."""
    k = kernels.of("index", [one.data for one in arrays.values()])
    common: Shape = ()
    for axis, one in arrays.items():
        low, high = k.extent(one.data)
        if one.numel() and (low < -shape[axis] or high >= shape[axis]):
            raise IndexError(
                f"index: an index array holds {low if low < -shape[axis] else high}, but axis "
                f"{axis} of x has size {shape[axis]}, expected {-shape[axis]} to {shape[axis] - 1}"
            )
        others = {"the other index arrays": common, f"the index array of axis {axis}": one.shape}
        common = broadcast_shapes("index", **others)
    same = [broadcast_to(one, common).data for _, one in sorted(arrays.items())]
    return common, Tensor(k.ravel_index(same, [shape[axis] for axis in sorted(arrays)]))


def _parts(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _entry(place: int, part: Any, device: str) -> Any:
    """None, ..., a slice, an int, or a tensor; what is no tensor yet goes to x's device."""
    if part is None or part is Ellipsis or isinstance(part, slice):
        return part
    if isinstance(part, bool):
        raise TypeError(f"index: entry {place} of the key is {part}, expected an index, not a bool")
    if isinstance(part, (list, range)):
        part = tensor(part, dtype=None if len(part) else "int64", device=device)
    if hasattr(part, "dtype"):
        plain = part.shape and not isinstance(part, Tensor)
        array = as_tensor(to_device(part, device) if plain else part)
        if array.dtype.kind not in "iub" or (array.dtype.kind == "b" and not array.shape):
            raise TypeError(
                f"index: entry {place} of the key has dtype {array.dtype} and shape {array.shape}, "
                f"expected whole numbers, or a mask of at least one axis"
            )
        return array if array.shape else int(array)
    if not hasattr(part, "__index__"):
        raise TypeError(
            f"index: entry {place} of the key is {part!r}, expected a whole number, a slice, None, "
            f"'...', whole numbers or a mask"
        )
    return int(part.__index__())


def _axes_of(part: Any) -> int:
    """How many axes of x an entry names."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, Tensor) and part.dtype.kind == "b" else 1


def _filled(parts: list[Any], count: int) -> list[Any]:
    """The entries with `count` full slices in place of `...`, or at the end."""
    dots = [place for place, part in enumerate(parts) if part is Ellipsis]
    if len(dots) > 1:
        raise IndexError(f"index: the key has '...' {len(dots)} times, expected at most once")
    place = dots[0] if dots else len(parts)
    return [*parts[:place], *[slice(None)] * count, *parts[place + 1 :]]


def _one(index: int, axis: int, shape: Shape) -> range:
    size = shape[axis]
    if not -size <= index < size:
        raise IndexError(
            f"index: axis {axis} of x has size {size}, got index {index}, expected {-size} to "
            f"{size - 1} (x: {shape})"
        )
    return range(index % size, index % size + 1)


def _slice(part: slice, axis: int, shape: Shape) -> range:
    if part.step == 0:
        raise ValueError(
            f"index: step of the slice along axis {axis} is 0, expected another number"
        )
    places = range(*part.indices(shape[axis]))
    return places if places else range(0)


def _index_arrays(part: Tensor, axis: int, shape: Shape) -> list[Tensor]:
    """An index array as it is; a mask as one index array per axis of it."""
    if part.dtype.kind != "b":
        return [part]
    for own, size in enumerate(part.shape):
        if size != shape[axis + own]:
            raise IndexError(
                f"index: axis {own} of the mask is {size}, but axis {axis + own} of x is "
                f"{shape[axis + own]}\n    mask = {part.shape}\n    x = {shape}"
            )
    return [Tensor(places) for places in kernels.of("index", [part.data]).nonzero(part.data)]
