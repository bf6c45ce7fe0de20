"""gpu_infer: class maps of an FCN in evaluation, as a user of each library writes it."""

from __future__ import annotations

import statistics
import sys
from typing import Any

import numpy as np

from minifcn.device import cupy

from . import nets
from .gpu_clock import take_wall
from .gpu_layers import minifcn_precision
from .gpu_steps import OURS, Step
from .machine import missing

ALIKE = 0.9  # of the pixels: weights are random, so two classes are often as good as another


def infer(size: tuple[int, int, int], rounds: int, count: int) -> dict[str, Any]:
    """The FCN in evaluation: class maps on the host; all sides, held against float32."""
    import minifcn as mf

    images = nets.batch(*size)[0]
    made: dict[str, tuple[Step, Step]] = {}
    maps: dict[str, Any] = {}

    def ours(precision: str) -> Step:
        net = nets.fcn(mf)
        drawn = nets.weights({n: tuple(p.shape) for n, p in net.named_parameters()})
        net.load_state_dict({**net.state_dict(), **drawn})
        net.to("cuda").eval()
        half = precision in ("float16", "bfloat16")

        def call() -> Any:
            with mf.no_grad(), minifcn_precision(precision):
                x = mf.tensor(images).to("cuda")
                if half:
                    with mf.autocast(precision):
                        return net(x).argmax(1).numpy()
                return net(x).argmax(1).numpy()

        return call

    for precision in OURS:
        made[f"minifcn {precision}"] = ours(precision), cupy().cuda.Device().synchronize
    if not missing("torch"):
        made.update(_torch_inference(images))
    for name, (call, _) in made.items():
        maps[name] = np.asarray(call())
    exact = maps["minifcn float32"]
    agree = {name: float((one == exact).mean()) for name, one in maps.items()}
    for name, share in agree.items():
        if share < ALIKE:
            print(f"inference: {name} agrees in {share:.3f} of the pixels", file=sys.stderr)
            del made[name]
    times = take_wall(made, rounds, count)
    took = {name: statistics.median(values) for name, values in times.items()}
    return {"ms": took, "agreement": agree, "rounds": times}


def _torch_inference(images: Any) -> dict[str, tuple[Step, Step]]:
    import torch

    made: dict[str, tuple[Step, Step]] = {}
    for how in ("eager", "eager autocast"):
        layout = torch.contiguous_format if how == "eager" else torch.channels_last
        net = nets.fcn(torch)
        drawn = nets.weights({n: tuple(p.shape) for n, p in net.named_parameters()})
        net.load_state_dict({n: torch.tensor(v) for n, v in drawn.items()}, strict=False)
        net = net.to("cuda", memory_format=layout).eval()

        def call(net: Any = net, layout: Any = layout, low: bool = how != "eager") -> Any:
            with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=low):
                x = torch.tensor(images).to("cuda", memory_format=layout)
                return net(x).argmax(1).cpu().numpy()

        made[how] = call, torch.cuda.synchronize
    return made
