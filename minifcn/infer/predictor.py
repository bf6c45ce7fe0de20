"""predictor: a trained network and all it needs to meet a photo, in one value and one file.

photo H W 3  ->  (value/255 - mean) / std  ->  mean of k x k pixels  ->  network
             ->  logits, enlarged by k  ->  argmax over classes  ->  class map H W
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import files
from .. import functional as F
from ..core import Tensor
from ..data import Classes, Normalize
from ..device import to_device, to_host
from ..models import build
from ..modes import no_grad
from ..nn import Module
from ..nn.state import entries
from ..shapes import shown
from .memory import PROBE_SIDE, measure_bytes_per_pixel
from .plan import Plans
from .predict import Prediction, predict_image
from .tiles import MEMORY_LIMIT
from .winner import refuse_nan

Array = NDArray[Any]
FORMAT = 1
MODEL = "model.safetensors"  # in the folder of a training run
MOST = 1 << 13  # pixels that a file may ask a photo to be shrunk by, or to be wide


@dataclass(frozen=True)
class Predictor:
    """`shrink` k: the network sees photos k times smaller, as in training; k = 1: as they are.

    `side` is the shorter side of the pictures that it saw in training, in pixels of its input.
    With `planned` photos of a size that comes again are seen by a plan (infer/plan), on the CPU:
    the same but for rounding, and for ESPNet in half the time.
    """

    model: Module
    classes: Classes
    normalize: Normalize
    shrink: int = 1
    side: int | None = None
    memory_limit: int = MEMORY_LIMIT
    notes: dict[str, Any] = field(default_factory=dict)  # how it was trained, for people
    planned: bool = False

    def __call__(self, photo: NDArray[np.uint8], probability: bool = False) -> Prediction:
        """The class of every pixel of one photo of any size, by tiles if it is large.

        Shape   photo: H W 3 (uint8) -> class_map H W
        """
        model = self._ready()
        k = self.shrink
        return predict_image(
            self._logits,
            photo,
            self.normalize,
            self.classes,
            stride=model.stride * k,
            margin=(model.radius + 1) * k,  # the enlargement looks one pixel further
            bytes_per_pixel=self.bytes_per_pixel,
            memory_limit=self.memory_limit,
            probability=probability,
        )

    def whole(self, photo: NDArray[np.uint8]) -> Array | None:
        """The logits of a photo, on the network's device; None if it has to go by tiles.

        Those of the scored classes: a network that also has a logit for void never says void.

        Shape   photo: H W 3 (uint8) -> 1 K H W, K = classes.count
        """
        self._ready()
        H, W, _ = photo.shape
        if self.bytes_per_pixel * H * W > self.memory_limit:
            return None
        logits = self._logits(self.normalize(photo)[None], own=True)
        refuse_nan(logits)
        return logits[:, : self.classes.count]

    def shrink_for(self, photo: NDArray[np.uint8]) -> int:
        """The k that shows the network a photo about as large as those of its training.

            k = max(1, round(min(H, W) / side))

        Things then have the size that it has learnt, as far as they fill a photo alike.
        """
        if self.side is None:
            return self.shrink
        k: int = round(min(photo.shape[:2]) / self.side)
        return max(1, k)

    @cached_property
    def bytes_per_pixel(self) -> float:
        """What the network needs at its peak per pixel of the photo; measured once."""
        model = self._ready()
        stride = model.stride * self.shrink
        plain = replace(self, planned=False)
        needed = measure_bytes_per_pixel(plain._logits, stride=stride, device=self.device)
        if self.planned and self.device == "cpu":
            side = -(-PROBE_SIDE // stride) * stride
            needed = max(needed, self._plans.bytes_of((3, side, side)) / side**2)
        return needed

    @property
    def device(self) -> str:
        """Where the network computes; what it is given and what it gives are on the host."""
        device: str = next(iter(self.model.parameters())).device
        return device

    def logits(self, x: Array) -> Array:
        """N C H W, normalised -> N K H W: all the network's logits, at the photo's own size.

        Edge pixels are repeated up to a multiple of k; pixel (i, j) of the network's input is the
        mean of k x k pixels from (k i, k j), so tiles that start at multiples of k agree.
        """
        return to_host(self._logits(x, own=True))

    def _logits(self, x: Array, own: bool = False) -> Array:
        """The logits on the device where they were made; `own`: nobody will write there."""
        k, (H, W) = self.shrink, x.shape[2:]
        if H % k or W % k:
            x = np.pad(x, ((0, 0), (0, 0), (0, -H % k), (0, -W % k)), mode="edge")
        if margin := getattr(self.model, "margin", 0):  # no padding of its own: a mirror around
            sides = [(margin * k, self._more(size // k) * k) for size in x.shape[2:]]
            x = np.pad(x, ((0, 0), (0, 0), *sides), mode="reflect")
        if self.planned and self.device == "cpu":
            y = self._plans(x)
            y = y.copy() if own else y
        else:
            with no_grad():
                y = self._network(self._input(np.ascontiguousarray(x))).data
        return y[:, :, :H, :W]

    def _network(self, x: Tensor) -> Tensor:
        """The model on pixels k times as large."""
        if self.shrink == 1:
            same: Tensor = self.model(x)
            return same
        y = self.model(F.avg_pool2d(x, self.shrink))  # N K H/k W/k
        H, W = (size * self.shrink for size in y.shape[2:])
        return F.interpolate(y, size=(H, W), mode="bilinear", align_corners=False)

    def _more(self, size: int) -> int:
        """Pixels to be added at the end of an axis, so that each of `size` gets a class."""
        model: Any = self.model
        more: int = model.margin
        while model.output_size(model.margin + size + more) < size:
            more += 1
        return more

    @cached_property
    def _plans(self) -> Plans:
        return Plans(self._network, self.model, self.memory_limit)

    def _ready(self) -> Any:
        """The model in inference mode, if it is one that gives a class for every pixel."""
        lacks = [name for name in ("stride", "radius") if not hasattr(self.model, name)]
        if lacks:
            raise TypeError(
                f"Predictor: model is a {type(self.model).__name__} without {' and '.join(lacks)}, "
                f"expected one with logits for every pixel, such as FCN"
            )
        model: Any = self.model
        if getattr(model, "full_size", True) is False:
            raise TypeError(
                f"Predictor: model is a classifier with logits for squares of {model.stride} "
                f"pixels, expected them for every pixel; convolutionize(..., full_size=True) gives "
                f"them, `minifcn locate` shows this map"
            )
        return self.model.eval()

    def _input(self, x: Array) -> Tensor:
        return Tensor(to_device(x, self.device))

    def save(self, path: str | Path) -> None:
        """Weights and description in one safetensors file."""
        config = getattr(self.model, "config", None)
        if not isinstance(config, dict) or config.get("model", config) is None:
            raise TypeError(
                f"Predictor.save: model is a {type(self.model).__name__} whose config does not say "
                f"how to make it again, expected one of minifcn.models"
            )
        meta = {
            "kind": "model",
            "format": FORMAT,
            "model": config,
            "classes": {
                "names": self.classes.names,
                "colours": self.classes.colours,
                "void": self.classes.void,
            },
            "mean": list(self.normalize.mean),
            "std": list(self.normalize.std),
            "order": self.normalize.order,
            "input": f"{self.normalize.order}, uint8 / 255, minus mean, divided by std, N C H W",
            "shrink": self.shrink,
            "side": self.side,
            "notes": self.notes,
        }
        arrays = {name: t.numpy() for name, t in self.model.state_dict().items()}
        files.save(path, arrays, meta)

    @staticmethod
    def load(path: str | Path, device: str = "cpu") -> Predictor:
        """From a file that `save` wrote, or the folder of a training run."""
        path = Path(path)
        if path.is_dir():
            if not (path / MODEL).is_file():
                raise FileNotFoundError(
                    f"load: {path}: has no {MODEL}, as a training run leaves it"
                )
            path = path / MODEL
        arrays, meta = files.load(path)
        kind = meta.get("kind")
        if kind != "model" or meta.get("format") != FORMAT:
            what = f"a {kind}, " if kind != "model" else ""
            raise files.FileError(f"load: {path}: is {what}no model of this version of minifcn")
        try:
            # No larger than the file, whatever it claims; surgery makes some weights several times.
            room = 4 * sum(array.size + 1 for array in arrays.values()) + 10_000
            model = build(meta["model"], blank=True, room=room)
            listed = meta["classes"]
            colours = tuple((int(r), int(g), int(b)) for r, g, b in listed["colours"])
            classes = Classes(tuple(listed["names"]), colours, listed["void"])
            order = meta.get("order", "RGB")
            mean, std = (tuple(float(v) for v in meta[key]) for key in ("mean", "std"))
            normalize = Normalize(mean, std, order)  # type: ignore[arg-type]  # it counts them
            _check_kinds(model, arrays)
            model.load_state_dict(arrays)
            side = meta.get("side")
            predictor = Predictor(
                model,
                classes,
                normalize,
                _pixels("shrink", meta["shrink"]),
                None if side is None else _pixels("side", side),
                notes=meta.get("notes", {}),
            )
        except KeyError as error:
            raise files.FileError(f"load: {path}: its description lacks {error}") from error
        except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
            raise files.FileError(f"load: {path}: {error}") from error
        model.eval().to(device)
        return predictor


def _check_kinds(model: Module, arrays: dict[str, Array]) -> None:
    """Numbers with a fraction where the model has such, whole ones where it has those."""
    for name, tensor in entries(model):
        if name in arrays and arrays[name].dtype.kind != tensor.dtype.kind:
            raise ValueError(f"{name} is {arrays[name].dtype}, expected {tensor.dtype}")


def _pixels(name: str, value: Any) -> int:
    """A number of pixels in the description of a file."""
    if type(value) is not int or not 1 <= value <= MOST:
        raise ValueError(f"its {name} is {shown(value)}, expected 1 to {MOST}")
    return value
