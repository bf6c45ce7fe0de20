"""predict: from a photo to what is seen on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..images import UInt8
from .memory import PROBE_SIDE, measure_bytes_per_pixel
from .overlay import Named, shares
from .tiles import MEMORY_LIMIT, Array, Forward, predict_classes

Normalize = Callable[[UInt8], NDArray[np.float32]]


class Scored(Named, Protocol):
    """Classes of which those before `void` are scored: minifcn.data.Classes, or the like."""

    @property
    def void(self) -> int | None:
        """The label value that stands for no class."""


@dataclass(frozen=True)
class Prediction:
    """What was seen: the class of each pixel, the share of each class, the time it took.

    Shape   class_map: uint8 H W (uint16 for over 256 classes); probability: float32 H W, of the
            class in class_map
    """

    class_map: UInt8
    shares: dict[str, float]
    seconds: float
    probability: NDArray[np.float32] | None = None


def predict_image(
    forward: Forward,
    image: UInt8,
    normalize: Normalize,
    classes: Scored,
    *,
    stride: int,
    margin: int,
    bytes_per_pixel: float | None = None,
    memory_limit: int = MEMORY_LIMIT,
    probability: bool = False,
) -> Prediction:
    """Classify every pixel of a photo of any size; one too large for the limit goes by tiles.

    `forward` maps float32 N C H W to logits N K H W; `normalize` maps a photo uint8 H W 3 to its
    input float32 C H W, pixel by pixel. Void is never predicted, though there may be a logit for
    it. For `stride`, `margin` and the limits see `predict_classes`. Without `bytes_per_pixel` it is
    measured, and a photo of less than about 192 x 192 pixels is never cut.

    Shape   image: H W 3
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(
            f"predict: image is {image.dtype} of shape {image.shape}, "
            f"expected uint8 H W 3, both sides >= 1"
        )
    start = time.perf_counter()
    scored, named = len(classes.names[: classes.void]), len(classes.names)

    def logits_of(crop: Array) -> Array:  # 1 3 h w, of the photo: its normalised copy stays small
        logits = forward(normalize(crop[0].transpose(1, 2, 0))[None])
        if not scored <= logits.shape[1] <= named:
            raise ValueError(
                f"predict: axis 1 (K) of the logits is {logits.shape[1]}, "
                f"but there are {scored} classes ({named} with void)"
            )
        return logits[:, :scored]  # what is not scored is never predicted

    if bytes_per_pixel is None and image.size <= 3 * PROBE_SIDE**2:
        bytes_per_pixel = 1.0  # no larger than what a measurement would run
    if bytes_per_pixel is None:
        bytes_per_pixel = measure_bytes_per_pixel(logits_of, stride=stride, dtype=np.uint8)
    winner = predict_classes(
        logits_of,
        image.transpose(2, 0, 1)[None],
        stride=stride,
        margin=margin,
        bytes_per_pixel=bytes_per_pixel,
        memory_limit=memory_limit,
        probability=probability,
    )
    dtype: type = np.uint8 if len(classes.names) <= 256 else np.uint16
    class_map: UInt8 = winner.class_map[0].astype(dtype)
    seconds = time.perf_counter() - start
    likely = None if winner.probability is None else winner.probability[0]
    return Prediction(class_map, shares(class_map, classes.names), seconds, likely)
