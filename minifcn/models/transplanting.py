"""transplanting: the arrays of a network into one that is built differently, as far as they fit.

    same name, same shape            copied
    same name, O CHW -> O C H W      reshaped: a linear layer is a convolution; or back
    same name, other shape           dropped: a score for other classes, say
    no such name in the model        dropped

What nothing was found for keeps its first values.

Source  Shelhamer, Long and Darrell, Fully Convolutional Networks for Semantic Segmentation, PAMI
        2017: the nets were transplanted from VGG16, and each from the coarser one before
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import nn
from ..core import Tensor
from ..device import Array, to_host
from ..nn.state import entries
from ..shapes import Shape
from .report import Report, Row, size

COUNTER = "num_batches_tracked"


def transplant(
    source: Mapping[str, Any] | nn.Module,
    model: nn.Module,
    rename: Mapping[str, str] | Callable[[str], str] | None = None,
    dry_run: bool = False,
) -> Report:
    """Copy what fits from a state dict (`interop.read_state`) or a network into `model`.

    `rename` gives for a name of the source the model's: a dict, or a function.

    >>> classifier = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(36, 5))
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Identity(), nn.Conv2d(4, 5, 3))
    >>> print(transplant(classifier, network))
    3 arrays copied, 1 reshaped, 0 dropped; 0 of the model left as they were
    copied    0.weight  4 x 3 x 3 x 3
    copied    0.bias    4
    reshaped  2.weight  5 x 36         -> 5 x 4 x 3 x 3
    copied    2.bias    5
    """
    state = dict(entries(source)) if isinstance(source, nn.Module) else dict(source)
    targets = dict(entries(model))
    rows: list[Row] = []
    found: dict[str, Array] = {}
    for name, value in state.items():
        ours = _renamed(name, rename)
        array = to_host(value.data) if isinstance(value, Tensor) else np.asarray(value)
        was = size(array.shape) or "a number"
        target = targets.get(ours)
        arrow = ours if ours != name else ""
        if target is None:
            rows.append(Row("dropped", name, was, "the model has no such array"))
        elif ours in found:
            rows.append(Row("dropped", name, was, f"{ours} has come already"))
        elif array.dtype.kind != np.dtype(target.dtype).kind:
            rows.append(Row("dropped", name, was, f"{array.dtype}, but {target.dtype} there"))
        elif array.shape == target.shape:
            found[ours] = array
            rows.append(Row("copied", name, was, arrow))
        elif _same_layer(array.shape, target.shape):
            found[ours] = array.reshape(target.shape)
            rows.append(Row("reshaped", name, was, " ".join([size(target.shape), arrow]).strip()))
        else:
            rows.append(Row("dropped", name, was, f"{size(target.shape)} there"))
    left = [name for name in targets if name not in found and not name.endswith(COUNTER)]
    rows += [Row("left", name, size(targets[name].shape), "as it was") for name in left]
    counts = {word: sum(row.action == word for row in rows) for word in ("copied", "reshaped")}
    dropped = sum(row.action == "dropped" for row in rows)
    title = (
        f"{counts['copied']} arrays copied, {counts['reshaped']} reshaped, {dropped} dropped; "
        f"{len(left)} of the model left as they were"
    )
    if not dry_run:
        for name, array in found.items():
            found[name] = array.astype(targets[name].dtype, copy=False)
        model.load_state_dict(found, strict=False)
    return Report(title, tuple(rows))


def _renamed(name: str, rename: Mapping[str, str] | Callable[[str], str] | None) -> str:
    if rename is None:
        return name
    return rename.get(name, name) if isinstance(rename, Mapping) else rename(name)


def _same_layer(one: Shape, two: Shape) -> bool:
    """O CHW and O C H W, either way round."""
    return (
        sorted((len(one), len(two))) == [2, 4]
        and one[0] == two[0]
        and int(np.prod(one)) == int(np.prod(two))
    )
