r"""surgery: from a classifier, which says what is in a picture, to a network that says where.

A linear layer behind a feature of P x Q cells is a convolution with a kernel of P x Q; behind that
one, linear layers are 1x1 convolutions. On an image of the training size the kernel fits once, and
gives the very logits; on a larger one it slides, and gives a map of them. A pooling in between
slides along, in steps of one cell:

    flatten, linear             convolution P x Q
    mean over all h x w cells   "window": mean over h x w cells around each place
                                "mean": none; the mean of the whole map is the logits (if nothing
                                but linear layers follows)
    mean over P x Q bins        mean over f x f cells, f = (h / P, w / Q), and the convolution
                                behind it takes every f-th cell (dilation f)
    bins of different sizes     both in one convolution h x w, m[p, i] the share of cell i in bin p:
                                w'[o, c, i, j] = sum_pq w[o, c, p, q] m[p, i] m[q, j]

With padding in the layers before, a window in the middle of a larger image sees its surroundings
where a cut-out sees zeros, so that the map is not that of the cut-outs; on the training size it is.

Source  Long, Shelhamer and Darrell, Fully Convolutional Networks for Semantic Segmentation, CVPR
        2015, section 3.1
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np

from .. import nn
from ..core import tensor
from ..modes import no_grad
from ..shapes import Pair, ShapeError, one_of, pair, shown
from .chain import ChainError, chain_of
from .convolutional import Convolutional
from .described import config_of
from .head import Head, SurgeryError
from .report import Report, size

LARGEST = 1 << 12  # pixels along an axis of a training image


@overload
def convolutionize(
    model: nn.Module,
    input_size: int | Pair,
    dry_run: Literal[False] = False,
    *,
    pooling: str = "window",
    full_size: bool = False,
) -> tuple[Convolutional, Report]: ...


@overload
def convolutionize(
    model: nn.Module,
    input_size: int | Pair,
    dry_run: Literal[True],
    *,
    pooling: str = "window",
    full_size: bool = False,
) -> tuple[None, Report]: ...


def convolutionize(
    model: nn.Module,
    input_size: int | Pair,
    dry_run: bool = False,
    *,
    pooling: str = "window",
    full_size: bool = False,
) -> tuple[Convolutional | None, Report]:
    """A network that gives `model`'s logits at every place of an image of any size, and a report.

    `input_size` is the size (H, W) of the images that the model was trained on. The model stays as
    it is; the network has copies of its layers, under the same names. `pooling`: "window" or
    "mean", see above. With `full_size` the map is enlarged to the image, a score for each pixel. A
    dry run makes nothing, and gives None and the report.

    Shape   model: N C H W -> N K; network: N C H W -> N K h w, or N K H W with full_size

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    >>> network, report = convolutionize(model, 6)
    >>> network(tensor(np.zeros((1, 3, 9, 13), np.float32))).shape
    (1, 2, 4, 8)
    >>> print(report)
    for 3 x 6 x 6: a feature of 4 x 4 x 4, then 2 classes
    kept      0 .. 1    2 layers, 2 parameters
    dropped   2         Flatten                 -> what it joined stays apart
    reshaped  3.weight  2 x 64                  -> 2 x 4 x 4 x 4
    """
    H, W = pair("convolutionize", "input_size", input_size, 1)
    if max(H, W) > LARGEST:
        raise ShapeError(
            f"convolutionize: input_size is {H} x {W}, expected at most {LARGEST} each; smaller "
            f"images get zeros up to that size"
        )
    one_of("convolutionize", "pooling", pooling, ("window", "mean"))
    if not isinstance(model, nn.Module):
        raise TypeError(f"convolutionize: model is {shown(model)}, expected a Module")
    image = (_image_channels(model), H, W)
    try:
        links = chain_of(model, (1, *image))
    except ChainError as error:
        raise SurgeryError(f"convolutionize: {error}") from None
    head, classes = Head(links, pooling), links[-1].behind[1]
    title = f"for {size(image)}: a feature of {size(head.feature)}, then {classes} classes"
    report = Report(title, tuple(head.rows))
    if dry_run:
        return None, report
    network = Convolutional(head.layers(), len(head.trunk), image, classes, full_size)
    network.config = {
        "name": "convolutional",
        "model": config_of(model),
        "input_size": [H, W],
        "pooling": pooling,
        "full_size": full_size,
    }
    network.train(model.training)
    return network, report


def convolutional(
    model: dict[str, Any],
    input_size: int | Pair,
    pooling: str = "window",
    full_size: bool = False,
    generator: np.random.Generator | None = None,
) -> Convolutional:
    """The network that `convolutionize` makes of `models.build(model)`; for model files."""
    from .registry import build

    H, W = pair("convolutional", "input_size", input_size, 1)
    network, _ = convolutionize(
        build(model, generator), (H, W), pooling=pooling, full_size=full_size
    )
    return network


@dataclass(frozen=True)
class Difference:
    """The largest difference of two logits, and the largest logit."""

    largest: float
    scale: float


def difference(
    model: nn.Module, network: Convolutional, generator: np.random.Generator | None = None
) -> Difference:
    """What surgery changed, on one random image of the training size: rounding, if it is right.

    With "mean" pooling it is the mean of the map that is compared.
    """
    rng = np.random.default_rng(0) if generator is None else generator
    x = tensor(rng.standard_normal((1, *network.image)).astype(np.float32))
    modes = [(module, module.training) for net in (model, network) for module in net.modules()]
    try:
        with no_grad():
            wanted = model.eval()(x).numpy().reshape(-1)
            got = network.eval().class_map(x).numpy().mean((0, 2, 3))
    finally:
        for module, training in modes:
            module.training = training
    return Difference(float(np.abs(got - wanted).max()), float(np.abs(wanted).max()))


def _image_channels(model: nn.Module) -> int:
    """What the first convolution takes."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    raise SurgeryError("convolutionize: the model has no convolution, so it sees no image")
