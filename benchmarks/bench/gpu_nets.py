"""gpu_nets: the three networks of gpu.py, in the words that minifcn and PyTorch share.

    A   8 convolutions, 32 to 128 channels, images of 32 x 32, batch 128: mostly launches
    B   11 convolutions, 32 to 256 channels, 128 x 128, batch 32
    C   13 convolutions as in VGG16, 64 to 512 channels, 224 x 224, batch 16: mostly arithmetic

Each convolution 3x3 is followed by a norm and ReLU. Where the next one works at half the size a
max-pool stands between, where at twice the size a transposed convolution k4 s2. At the end a 1x1
convolution gives scores, and a transposed one brings those of C back to full size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CLASSES = 12

Rows = tuple[tuple[int, int, int], ...]  # (channels in, channels out, pixels of a side)


@dataclass(frozen=True)
class Net:
    """A chain of convolutions, and the batch it is trained with."""

    name: str
    batch: int
    rows: Rows

    @property
    def side(self) -> int:
        return self.rows[0][2]

    @property
    def shrink(self) -> int:
        """How much smaller the last convolution's images are."""
        return self.side // self.rows[-1][2]

    def flops(self) -> int:
        """Of the 3x3 convolutions in one step: three directions, but no image gradient at first."""
        each = [2 * 9 * self.batch * S * S * C * O for C, O, S in self.rows]
        return 3 * sum(each) - each[0]

    def small(self) -> Net:
        """The same chain at toy size."""
        least = min(S for *_, S in self.rows)
        rows = tuple((min(C, 4), min(O, 4), 2 * S // least) for C, O, S in self.rows)
        return Net(self.name, 2, rows)


# fmt: off
A = Net("A", 128, ((3, 32, 32), (32, 32, 32), (32, 64, 16), (64, 64, 16), (64, 128, 8),
                   (128, 128, 8), (128, 64, 16), (64, 32, 32)))
B = Net("B", 32, ((3, 32, 128), (32, 32, 128), (32, 64, 64), (64, 64, 64), (64, 128, 32),
                  (128, 128, 32), (128, 256, 16), (256, 256, 16), (256, 128, 32), (128, 64, 64),
                  (64, 32, 128)))
C = Net("C", 16, ((3, 64, 224), (64, 64, 224), (64, 128, 112), (128, 128, 112), (128, 256, 56),
                  (256, 256, 56), (256, 256, 56), (256, 512, 28), (512, 512, 28), (512, 512, 28),
                  (512, 512, 14), (512, 512, 14), (512, 512, 14)))
# fmt: on
NETS = {net.name: net for net in (A, B, C)}


def build(lib: Any, net: Net) -> Any:
    """The network in either library.   x: N 3 S S -> N CLASSES S S"""
    nn, layers, side = lib.nn, [], net.side
    for before, after, S in net.rows:
        if S < side:
            layers.append(nn.MaxPool2d(2))
        elif S > side:
            layers.append(nn.ConvTranspose2d(before, before, 4, stride=2, padding=1, bias=False))
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(after), nn.ReLU()]
        side = S
    layers.append(nn.Conv2d(net.rows[-1][1], CLASSES, 1))
    if net.shrink > 1:
        s = net.shrink
        up = nn.ConvTranspose2d(CLASSES, CLASSES, 2 * s, stride=s, padding=s // 2, bias=False)
        layers.append(up)
    return nn.Sequential(*layers)
