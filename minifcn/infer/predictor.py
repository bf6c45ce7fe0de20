"""predictor: a trained network and all it needs to meet a photo, in one value and one file.

    photo H W 3  ->  shrink by k  ->  (value/255 - mean) / std  ->  network  ->  logits, enlarged by k
                 ->  argmax over classes  ->  class map H W
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import files
from .. import functional as F
from ..core import Tensor
from ..data import Classes, Normalize
from ..images import resize_image
from ..models import build
from ..modes import no_grad
from ..nn import Module
from .tiles import MEMORY_LIMIT, Winner, predict_classes

Array = NDArray[Any]
FORMAT = 1


@dataclass(frozen=True)
class Predictor:
    """`shrink` k: photos are made k times smaller before the network, as they were in training."""

    model: Module
    classes: Classes
    normalize: Normalize
    shrink: int = 1
    memory_limit: int = MEMORY_LIMIT
    notes: dict[str, Any] = field(default_factory=dict)  # how it was trained, for people

    def __call__(self, photo: NDArray[np.uint8], probability: bool = False) -> Winner:
        """The class of every pixel of one photo of any size.

        Shape: photo H W 3 (uint8) -> class_map 1 H W
        """
        if photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape or photo.dtype != np.uint8:
            raise ValueError(
                f"predict: photo is {photo.dtype} of shape {photo.shape}, expected uint8 H W 3"
            )
        H, W = photo.shape[:2]
        k = self.shrink
        whole = np.pad(photo, ((0, -H % k), (0, -W % k), (0, 0)), mode="edge")
        small = resize_image(whole, (whole.shape[0] // k, whole.shape[1] // k))
        model: Any = self.model
        self.model.eval()
        winner = predict_classes(
            self.logits,
            self.normalize(small)[None],  # 1 C H/k W/k
            stride=model.stride,
            margin=model.radius + 1,  # the bilinear enlargement looks one pixel further
            bytes_per_pixel=model.bytes_per_pixel + 4.0 * k * k * 3 * self.classes.count,
            memory_limit=self.memory_limit,
            probability=probability,
            zoom=k,
        )
        likely = winner.probability
        return Winner(
            winner.class_map[:, :H, :W], None if likely is None else likely[:, :H, :W]
        )

    def logits(self, x: Array) -> Array:
        """N C h w -> N K kh kw: the network's logits at the photo's own size."""
        with no_grad():
            y = self.model(Tensor(np.ascontiguousarray(x)))
            if self.shrink > 1:
                size = (y.shape[2] * self.shrink, y.shape[3] * self.shrink)
                y = F.interpolate(y, size=size, mode="bilinear", align_corners=False)
        return y.numpy()

    def save(self, path: str | Path) -> None:
        """Weights and description in one safetensors file."""
        model: Any = self.model
        meta = {
            "kind": "model",
            "format": FORMAT,
            "model": model.config,
            "classes": {
                "names": self.classes.names,
                "colours": self.classes.colours,
                "void": self.classes.void,
            },
            "mean": list(self.normalize.mean),
            "std": list(self.normalize.std),
            "input": "RGB, uint8 / 255, minus mean, divided by std, N C H W",
            "shrink": self.shrink,
            "notes": self.notes,
        }
        arrays = {name: t.numpy() for name, t in self.model.state_dict().items()}
        files.save(path, arrays, meta)

    @staticmethod
    def load(path: str | Path) -> Predictor:
        """From a file that `save` wrote, or the folder of a training run."""
        path = Path(path)
        if path.is_dir():
            path = path / "model.safetensors"
        arrays, meta = files.load(path)
        if meta.get("kind") != "model" or meta.get("format") != FORMAT:
            raise files.FileError(f"load: {path}: is no model of this version of minifcn")
        try:
            model = build(meta["model"])
            listed = meta["classes"]
            colours = tuple((int(r), int(g), int(b)) for r, g, b in listed["colours"])
            classes = Classes(tuple(listed["names"]), colours, listed["void"])
            normalize = Normalize(tuple(meta["mean"]), tuple(meta["std"]))
            model.load_state_dict(arrays)
            predictor = Predictor(
                model, classes, normalize, int(meta["shrink"]), notes=meta.get("notes", {})
            )
        except (KeyError, TypeError, ValueError) as error:
            raise files.FileError(f"load: {path}: {error}") from error
        model.eval()
        return predictor
