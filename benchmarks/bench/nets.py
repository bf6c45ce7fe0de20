"""nets: the networks of the benchmarks, in the words that minifcn and PyTorch share.

Each function takes the library, `minifcn` or `torch`, and writes the network once: what is timed
is the same user's code on both sides.

    fcn          3 x (conv 3x3, norm, ReLU twice, pool), widths 32, 64, 128; a 1x1 score of each
                 pool, added from coarse to fine between transposed convolutions (k4 s2)
    squeezenet   SqueezeNet 1.1 (Iandola et al. 2016): what a phone would run
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTHS, CLASSES = (32, 64, 128), 12


def fcn(lib: Any, widths: tuple[int, ...] = WIDTHS, classes: int = CLASSES) -> Any:
    """The network of the training step.   x: N 3 H W -> N classes H W; H and W multiples of 8"""
    nn = lib.nn

    def block(before: int, channels: int) -> list[Any]:
        return [
            nn.Conv2d(before, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        ]

    class Fcn(nn.Module):  # type: ignore[name-defined]  # either library's
        def __init__(self) -> None:
            super().__init__()
            self.stages, self.scores, self.ups = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
            before = 3
            for channels in widths:
                layers = block(before, channels) + block(channels, channels)
                self.stages.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
                self.scores.append(nn.Conv2d(channels, classes, 1))
                up = nn.ConvTranspose2d(classes, classes, 4, stride=2, padding=1, bias=False)
                self.ups.append(up)
                before = channels

        def forward(self, x: Any) -> Any:
            scores = []
            for stage, score in zip(self.stages, self.scores, strict=True):
                x = stage(x)
                scores.append(score(x))
            ups = list(self.ups)
            y = ups[-1](scores[-1])
            for score, up in zip(scores[-2::-1], ups[-2::-1], strict=True):
                y = up(y + score)
            return y

    return Fcn()


def squeezenet(lib: Any) -> Any:
    """SqueezeNet 1.1.   x: N 3 H W -> N 1000 1 1"""
    nn = lib.nn

    class Fire(nn.Module):  # type: ignore[name-defined]  # either library's
        def __init__(self, before: int, squeeze: int, expand: int) -> None:
            super().__init__()
            self.squeeze = nn.Sequential(nn.Conv2d(before, squeeze, 1), nn.ReLU())
            self.one = nn.Sequential(nn.Conv2d(squeeze, expand, 1), nn.ReLU())
            self.three = nn.Sequential(nn.Conv2d(squeeze, expand, 3, padding=1), nn.ReLU())

        def forward(self, x: Any) -> Any:
            x = self.squeeze(x)
            return lib.cat([self.one(x), self.three(x)], 1)

    def pool() -> Any:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    return nn.Sequential(
        nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(), pool(),
        Fire(64, 16, 64), Fire(128, 16, 64), pool(),
        Fire(128, 32, 128), Fire(256, 32, 128), pool(),
        Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
        nn.Conv2d(512, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
    )  # fmt: skip


NETS = {"fcn": fcn, "squeezenet": squeezenet}


def weights(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, NDArray[Any]]:
    """Values for parameters of these names and shapes, the same wherever they are drawn."""
    rng = np.random.default_rng(seed)
    drawn: dict[str, NDArray[Any]] = {}
    for name, shape in sorted(shapes.items()):
        if len(shape) == 4:
            spread = (2.0 / float(np.prod(shape[1:]))) ** 0.5
            drawn[name] = (spread * rng.standard_normal(shape)).astype(np.float32)
        elif name.endswith("weight"):
            drawn[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        else:
            drawn[name] = rng.uniform(-0.1, 0.1, shape).astype(np.float32)
    return drawn


def batch(N: int, H: int, W: int, classes: int = CLASSES) -> tuple[NDArray[Any], NDArray[Any]]:
    """Images N 3 H W, as a loader would give them, and labels N H W."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((N, 3, H, W)).astype(np.float32)
    return x, rng.integers(0, classes, (N, H, W))
