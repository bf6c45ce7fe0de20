"""frames: a photo as it comes from a camera, through ESPNet, to the class of every pixel.

From bytes H W 3 to bytes H W, as a user of each library writes it: normalised (blue first), through
the network, the largest of the scored classes' logits.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import nets
from .jobs import Job, library
from .library import shapes

CONFIG = {"name": "espnet", "classes": 12, "p": 2, "q": 8, "in_channels": 3}
SCORED = 11  # the last class is void
MEAN = 110.3313 / 255, 108.4091 / 255, 105.0335 / 255
STD = (72.1252, 72.6885, 69.9026)


class Frames(Job):
    """One frame after the other; `planned` is minifcn's own way to see many of one size."""

    def __init__(
        self,
        name: str = "minifcn",
        threads: int = 1,
        channels_last: bool = False,
        planned: bool = False,
        size: tuple[int, int] = (360, 480),
        dtype: str = "float32",
    ) -> None:
        self.lib = lib = library(name, threads, channels_last)
        self.frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        self.net = lib.net(self._made(name), dtype)
        lib.load(self.net, {n: a.astype(dtype) for n, a in nets.weights(shapes(self.net)).items()})
        self.net.eval()
        self.dtype = dtype
        self.torch: Any = lib.root if name == "torch" else None
        self.predictor: Any = None if self.torch else self._predictor(planned)
        for _ in range(3):  # plans are made, memory is found
            self.once()

    def _made(self, name: str) -> Any:
        if name == "torch":
            return importlib.import_module("bench.torch_unet_espnet").ESPNet(**CONFIG)
        return importlib.import_module("minifcn.models").build(CONFIG)

    def _predictor(self, planned: bool) -> Any:
        from minifcn.data import Classes, Normalize
        from minifcn.infer import Predictor

        names = tuple(f"class {k}" for k in range(SCORED + 1))
        normalize = Normalize(MEAN, STD, "BGR")
        return Predictor(self.net, Classes(names, void=SCORED), normalize, planned=planned)

    def once(self) -> NDArray[np.uint8]:
        """The class of every pixel."""
        if self.predictor is not None and self.dtype == "float32":
            found: NDArray[np.uint8] = self.predictor(self.frame).class_map
            return found
        if self.torch is None:
            return self._logits()[0, :SCORED].argmax(0).astype(np.uint8)
        with self.torch.inference_mode():
            winner = self._torch_logits()[0, :SCORED].argmax(0)
            found = winner.to(self.torch.uint8).numpy()
        return found

    def _torch_logits(self) -> Any:
        lib, torch = self.lib, self.torch
        x = torch.from_numpy(self.frame).flip(2).permute(2, 0, 1)[None]  # 1 3 H W, blue first
        x = x.to(getattr(torch, self.dtype), memory_format=lib.layout)
        mean, std = (torch.tensor(v, dtype=x.dtype)[:, None, None] for v in (MEAN, STD))
        return self.net(x.div_(255).sub_(mean).div_(std))

    def _logits(self) -> NDArray[Any]:
        if self.torch is not None:
            with self.torch.inference_mode():
                y: NDArray[Any] = self._torch_logits().numpy()
            return y
        x = self.predictor.normalize(self.frame)[None]
        if self.dtype != "float32":
            colours = self.frame[..., ::-1].astype(self.dtype) / 255
            x = ((colours - MEAN) / STD).transpose(2, 0, 1)[None].astype(self.dtype)
        y = self.predictor.logits(x)
        return y

    def compare(self, path: str) -> dict[str, Any]:
        """Logits and class map, to a file."""
        np.savez(path, y=self._logits(), classes=self.once())
        return {}


JOBS = {"frames": Frames}
