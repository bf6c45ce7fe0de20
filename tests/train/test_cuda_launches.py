"""How many kernels a step launches: on a GPU a small network is mostly that."""

from typing import Any

import numpy as np
import pytest

from minifcn import nn
from minifcn.kernels.cupy_kernels import launch
from tests.train.squares import Squares, make

# A convolution with norm and ReLU: forward the product, the sums (2), the norm; back the sums (2),
# the norm, the products for weight and image. In halves also the weight turned, its gradient cast.
OF_A_LAYER = {"float32": 9, "float16": 11}
OF_THE_REST = {"float32": 17, "float16": 34}  # loss, optimizer, the last layer, what is watched


def net(layers: int) -> nn.Module:
    rng = np.random.default_rng(0)
    made: list[Any] = []
    for number in range(layers):
        before = 8 if number else 3
        made += [nn.Conv2d(before, 8, 3, padding=1, bias=False, generator=rng)]
        made += [nn.BatchNorm2d(8), nn.ReLU()]
    return nn.Sequential(*made, nn.Conv2d(8, 3, 1, bias=False, generator=rng))


def launches(precision: str, layers: int) -> list[str]:
    """The kernels of a step as it is when a graph is made of it."""
    trainer = make("cuda", model=net(layers), dataset=Squares(6), precision=precision, graph=False)
    *first, last = trainer.loader.epoch(0)
    for batch in first:
        trainer.step(*batch)
    kernels: list[str] = []
    call = launch.Program.__call__

    def noted(self: Any, kernel: str, grid: Any, *rest: Any, **options: Any) -> None:
        if grid not in (0, (0,)):
            kernels.append(f"{self.file}.{kernel}")
        call(self, kernel, grid, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch.Program, "__call__", noted)
        trainer.step(*last)
    return kernels


@pytest.mark.parametrize("precision", OF_A_LAYER)
def test_a_step_launches_no_more_than_this(cuda: Any, precision: str) -> None:
    few, many = launches(precision, 2), launches(precision, 5)
    assert (len(many) - len(few)) / 3 <= OF_A_LAYER[precision], many
    assert len(few) - 2 * OF_A_LAYER[precision] <= OF_THE_REST[precision], few
