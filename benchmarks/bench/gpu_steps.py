"""gpu_steps: a training step as a user of each library writes it.

    minifcn            Trainer with the step as one CUDA graph: float32, tf32, float16, bfloat16
    eager              PyTorch as it comes: N C H W, TF32 in convolutions
    eager autocast     channels_last, bfloat16 under autocast
    compiled           torch.compile of the network and loss, channels_last, bfloat16 under autocast
    graphed autocast   the step captured by torch.cuda.graph, otherwise as eager autocast

Each step copies its batch from the host in, and nobody reads the loss back within the timed steps.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from minifcn.device import cupy

from . import nets
from .gpu_clock import DisagreementError, going_on, take_wall
from .gpu_nets import CLASSES, Net, build
from .machine import missing

LR, MOMENTUM = 0.01, 0.9
OURS = ("float32", "tf32", "float16", "bfloat16")
TORCH = ("eager", "eager autocast", "compiled", "graphed autocast")
TARGETS = {  # net: (our side, its opponent, at most)
    "A": (("tf32", "eager", 0.35),),
    "B": (("tf32", "eager", 0.7), ("bfloat16", "compiled", 1.0)),
    "C": (("bfloat16", "eager autocast", 2.0),),
}
CLOSE = 0.05  # of the loss after three steps, between the sides: bfloat16 rounds to 8 bits

Step = Callable[[], Any]
Side = tuple[Step, Step, Step]  # one step; wait for the device; the loss of the last step


def batch(net: Net) -> tuple[Any, Any]:
    return nets.batch(net.batch, net.side, net.side, CLASSES)


class _Batches:
    """What a Trainer wants of a loader; its batches are given to `step` by hand."""

    batch_size = 1

    def __len__(self) -> int:
        return 1


def minifcn_side(net: Net, precision: str) -> Side:
    """Trainer.step with its graph."""
    import minifcn as mf
    from minifcn.optim import SGD
    from minifcn.train import Trainer

    model = build(mf, net)
    drawn = nets.weights({n: tuple(p.shape) for n, p in model.named_parameters()})
    model.load_state_dict({**model.state_dict(), **drawn})
    model.to("cuda").train()
    sgd = SGD(model.parameters(), lr=LR, momentum=MOMENTUM)
    loader: Any = _Batches()
    trainer = Trainer(model, sgd, loader, epochs=1, precision=precision, read_every=50)
    ahead = trainer.ahead
    assert ahead is not None, "the model is on the device"
    x, target = batch(net)

    def step() -> None:
        with ahead.running():
            ahead.send(x, target)

    def wait() -> None:
        cupy().cuda.Device().synchronize()

    def loss() -> float:
        with ahead.running():
            ahead.read()
            return ahead.now(x, target)

    return step, wait, loss


def torch_side(net: Net, how: str) -> Side:
    """One of PyTorch's ways."""
    import torch

    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    layout = torch.contiguous_format if how == "eager" else torch.channels_last
    model = build(torch, net)
    drawn = nets.weights({n: tuple(p.shape) for n, p in model.named_parameters()})
    model.load_state_dict({n: torch.tensor(v) for n, v in drawn.items()}, strict=False)
    model = model.to("cuda", memory_format=layout).train()
    sgd = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)
    images, labels = batch(net)
    x = torch.tensor(images).pin_memory()
    target = torch.tensor(labels).pin_memory()
    x_in = torch.empty(images.shape, device="cuda", memory_format=layout)
    target_in = torch.empty(labels.shape, device="cuda", dtype=torch.int64)

    def forward() -> Any:
        with torch.autocast("cuda", torch.bfloat16, enabled=how != "eager"):
            return torch.nn.functional.cross_entropy(model(x_in), target_in)

    if how == "compiled":
        forward = torch.compile(forward)

    def work() -> None:
        forward().backward()
        sgd.step()

    def fetch() -> None:
        x_in.copy_(x, non_blocking=True)
        target_in.copy_(target, non_blocking=True)

    def step() -> None:
        fetch()
        sgd.zero_grad(set_to_none=True)
        work()

    if how == "graphed autocast":
        replay = _torch_graph(sgd, fetch, work)

        def step() -> None:
            fetch()
            replay()

    def loss() -> float:
        fetch()
        sgd.zero_grad(set_to_none=True)
        made = forward()
        made.backward()
        sgd.step()
        return float(made.item())

    return step, torch.cuda.synchronize, loss


def _torch_graph(sgd: Any, fetch: Step, work: Step) -> Step:
    """The work of a step as one graph; its warm-up does not train."""
    import torch

    saved = [[p.detach().clone() for p in g["params"]] for g in sgd.param_groups]
    fetch()
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            sgd.zero_grad(set_to_none=True)
            work()
    torch.cuda.current_stream().wait_stream(aside)
    sgd.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    with torch.no_grad():
        for group, values in zip(sgd.param_groups, saved, strict=True):
            for p, value in zip(group["params"], values, strict=True):
                p.copy_(value)
                sgd.state[p]["momentum_buffer"].zero_()
    return lambda: graph.replay()


def sides(net: Net) -> Iterator[tuple[str, Callable[[], Side]]]:
    """Every side that can run here, not yet made."""
    for precision in OURS:
        yield f"minifcn {precision}", partial(minifcn_side, net, precision)
    for how in () if missing("torch") else TORCH:
        yield how, partial(torch_side, net, how)


def train(net: Net, rounds: int, count: int) -> dict[str, Any]:
    """Losses of all sides after the same steps; then times of those that agree."""
    made: dict[str, Side] = {}
    losses: dict[str, float] = {}
    refused: dict[str, str] = {}
    for name, make in sides(net):
        with going_on(f"{net.name}, {name}", refused):
            step, wait, loss = side = make()
            for _ in range(3):
                step()
            wait()
            losses[name], made[name] = loss(), side
    middle = statistics.median(losses.values())
    for name, value in losses.items():
        with going_on(f"{net.name}, {name}", refused):
            if not abs(value - middle) <= CLOSE * abs(middle):
                del made[name]
                raise DisagreementError(f"loss {value} after 3 steps, others {middle}")
    rounds_of = take_wall({n: (step, wait) for n, (step, wait, _) in made.items()}, rounds, count)
    took = {name: statistics.median(values) for name, values in rounds_of.items()}
    ratios = {
        name: {other: took[name] / took[other] for other in TORCH if other in took}
        for name in took
        if name.startswith("minifcn")
    }
    return {"ms": took, "ratios": ratios, "losses": losses, "rounds": rounds_of,
            "refused": refused, "GFLOP": net.flops() / 1e9}  # fmt: skip


def verdicts(name: str, result: dict[str, Any]) -> list[str]:
    """Targets met or missed."""
    lines = []
    for ours, other, most in TARGETS[name]:
        ratio = result["ratios"].get(f"minifcn {ours}", {}).get(other)
        if ratio is not None:
            word = "met" if ratio <= most else "MISSED"
            lines.append(f"{name}: {ours} / {other} {ratio:.2f}, target {most}: {word}")
    return lines


def peaks(net: Net) -> dict[str, float]:
    """MiB that the device has less while a side trains; each side alone, caches emptied between."""
    found: dict[str, float] = {}
    refused: dict[str, str] = {}
    for name, make in sides(net):
        _empty()
        with going_on(f"{net.name}, {name}", refused):
            found[name] = _peak(make)
    _empty()
    return found


def _peak(make: Callable[[], Side]) -> float:
    before = _free()
    step, wait, _ = make()
    for _ in range(5):
        step()
    wait()
    return (before - _free()) / 2**20


def _free() -> int:
    cupy().cuda.Device().synchronize()
    return int(cupy().cuda.runtime.memGetInfo()[0])


def _empty() -> None:
    gc.collect()
    cupy().get_default_memory_pool().free_all_blocks()
    if not missing("torch"):
        import torch

        torch.cuda.empty_cache()
