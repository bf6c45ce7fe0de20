"""torch_twin: the small FCN in PyTorch's modules, with the same names for the same weights.

Only benchmarks import PyTorch: `pip install torch==2.13.0`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def _stage(before: int, channels: int, pool: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.MaxPool2d(2, ceil_mode=True)] if pool else []
    for inputs in (before, channels):
        layers += [
            nn.Conv2d(inputs, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """minifcn.models.SmallEncoder."""

    def __init__(self, width: int, depth: int, cap: int, in_channels: int = 3, **_: Any) -> None:
        super().__init__()
        self.channels = [min(width * 2**k, cap) for k in range(depth)]
        before = [in_channels, *self.channels]
        self.stages = nn.ModuleList(
            _stage(before[k], self.channels[k], k > 0) for k in range(depth)
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class Twin(nn.Module):
    """minifcn.models.FCN from the same `config`, all skips."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.encoder = Encoder(**config["encoder"])
        K = config["classes"]
        assert config["skips"] == len(self.encoder.channels) - 1, "the twin has all skips"
        self.scores = nn.ModuleList(nn.Conv2d(c, K, 1) for c in reversed(self.encoder.channels))
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(K, K, 4, stride=2, padding=1, bias=False)
            for _ in self.encoder.channels[1:]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.encoder(x)[::-1]
        y = self.scores[0](features[0])
        for up, score, finer in zip(self.ups, list(self.scores)[1:], features[1:], strict=True):
            y = up(y)[:, :, : finer.shape[2], : finer.shape[3]] + score(finer)
        return y


def twin_of(model: Any, dtype: torch.dtype) -> Twin:
    """A twin that starts from the weights of a minifcn model."""
    twin = Twin(model.config).to(dtype)
    state = {name: torch.tensor(t.numpy().copy()) for name, t in model.state_dict().items()}
    twin.load_state_dict(state)
    return twin
