"""export: a network as an ONNX file, for any batch and image size.

The network is run at several sizes (at two of them with numbers, else on shapes alone), and every
operator that it called is written down (trace, align); what of the operators' numbers follows the
image is learnt by comparing the runs (sizes), and written as nodes that compute it. Parameters keep
their names of the state dict.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...images import write_aside
from ...nn import Module
from ...shapes import Shape
from .error import OnnxError, need
from .outward import RULES
from .outward.align import Graph, align
from .outward.trace import Trace, trace
from .outward.writer import INPUT, Writer

OPSET = 19  # AveragePool that rounds up as we do
IR_VERSION = 9  # of the same year, so that older runtimes read the file
LIMIT = 2 << 30  # what one protobuf message may hold

# What is added to batch, height and width: every remainder of strides up to 32, along H in another
# order than along W, so that the two are told apart; then images that are larger by much.
GROWTH = (
    (0, 0, 0),
    *((k % 3, k, (13 * k + 5) % 32) for k in range(1, 32)),
    (1, 33, 71),
    (0, 64, 39),
    (2, 71, 103),
)
EVEN = ((0, 32, 64), (1, 64, 32), (2, 96, 160), (0, 160, 96))  # for who takes only multiples
SMALL = 32  # and images below that size, if the network takes them
TINY = ((1, 5, 7), (0, 11, 3), (2, 18, 13))
EVEN = ((0, 32, 64), (1, 64, 32), (2, 96, 160), (0, 160, 96))  # for who takes only multiples


def export(
    model: Any,
    path: str | Path,
    input_shape: Sequence[int] = (1, 3, 64, 64),
    dynamic: bool | str = True,
    metadata: dict[str, str] | None = None,
) -> Any:
    """Write `model`, an nn.Module or an infer.Predictor, as it infers; gives the ONNX model.

    The input is called "image", the output "output" (those of a list "output_0", ..., those of a
    dict by its keys). `dynamic`: True: any batch, height and width; "batch": any batch, the height
    and width of `input_shape`; False: `input_shape` alone. A Predictor's classes, normalisation and
    channel order stand in the file's metadata, as what `metadata` adds.
    """
    need("onnx", "onnx")
    from onnx import checker

    module, texts = _described(model)
    proto = _learnt(
        _traces(module, _shape(input_shape), dynamic),
        lambda graph: _proto(graph, type(module).__name__, texts | (metadata or {})),
    )
    total = sum(len(tensor.raw_data) for tensor in proto.graph.initializer)
    if total >= LIMIT:
        raise OnnxError(f"export: the weights take {total} bytes, an ONNX file holds {LIMIT}")
    data = proto.SerializeToString(deterministic=True)
    checker.check_model(data, full_check=True)
    with write_aside(path) as file:
        file.write(data)
    return proto


def _learnt(runs: list[Trace], write: Callable[[Graph], Any]) -> Any:
    """The model that fits all runs, or all but those on tiny images, which networks treat apart."""
    try:
        return write(align(runs))
    except OnnxError:
        large = [run for run in runs if min(run.shape[2:], default=0) >= SMALL]
        if len(large) in (0, len(runs)):
            raise
    return write(align(large))


def _shape(input_shape: Sequence[int]) -> Shape:
    shape = tuple(int(size) for size in input_shape)
    if any(size < 1 for size in shape):
        raise OnnxError(f"export: input_shape is {tuple(input_shape)}, expected N C H W, all > 0")
    return shape


def _described(model: Any) -> tuple[Module, dict[str, str]]:
    """The network, and what is known about its input and output, as texts."""
    module = model if isinstance(model, Module) else getattr(model, "model", None)
    if not isinstance(module, Module):
        raise TypeError(
            f"export: model is a {type(model).__name__}, expected an nn.Module or a Predictor"
        )
    texts = {"model": json.dumps(module.config)} if hasattr(module, "config") else {}
    if module is not model:
        texts["classes"] = json.dumps(list(model.classes.names))
        texts["void"] = json.dumps(model.classes.void)
        texts["mean"] = json.dumps(list(model.normalize.mean))
        texts["std"] = json.dumps(list(model.normalize.std))
        texts["order"] = str(getattr(model.normalize, "order", "RGB"))
        texts["input"] = "uint8 / 255, minus mean, divided by std, channels in order, N C H W"
        texts["shrink"] = json.dumps(getattr(model, "shrink", 1))
    return module, texts


def _traces(module: Module, shape: Shape, dynamic: bool | str) -> list[Trace]:
    """Runs at several sizes in inference mode; the network is left as it was."""
    if dynamic not in (True, False, "batch"):
        raise ValueError(f"export: dynamic is {dynamic!r}, expected True, False or 'batch'")
    before = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        if dynamic is True and len(shape) == 4:
            return _at_many_sizes(module, shape)
        runs = [trace(module, shape, 0)]
        if dynamic:
            runs += [trace(module, (shape[0] + k, *shape[1:]), k) for k in (1, 2)]
        return runs
    finally:
        for part, training in before:
            part.training = training


def _at_many_sizes(module: Module, shape: Shape) -> list[Trace]:
    """The sizes of GROWTH that the network takes; where those are few, multiples of 32."""
    N, C, H, W = shape
    runs, refused = [trace(module, shape, 0)], []
    tiny = [(n, h - H, w - W) for n, h, w in TINY]
    for sizes in ([*GROWTH[1:], *tiny], EVEN):
        for seed, (n, h, w) in enumerate(sizes, 1):
            try:
                runs.append(trace(module, (N + n, C, H + h, W + w), seed, len(runs) < 2))
            except ValueError as error:
                refused.append(f"{H + h} x {W + w}: {error}")
        if len(runs) > 4:
            return runs
    if len(runs) > 3:
        return runs
    raise OnnxError(
        f"export: the model takes an image of {H} x {W}, but others it refuses ({refused[0]}); "
        f"export it with dynamic='batch' for this size alone"
    )


def _proto(graph: Graph, title: str, texts: dict[str, str]) -> Any:
    """The ModelProto."""
    from onnx import helper, numpy_helper

    writer = Writer(graph, RULES)
    _refuse_unknown(graph, writer)
    for step in graph.steps:
        if step.y not in writer.fixed:
            writer.write(step)
    nodes = writer.nodes
    outputs = []
    letters = dict(
        zip(graph.sizes(0), "NCHW" if len(graph.sizes(0)) == 4 else "NCDEF", strict=False)
    )
    for name, value in graph.outputs.items():
        nodes.append(helper.make_node("Identity", [writer.name(value)], [name], name=name))
        outputs.append(_declared(name, graph, value, letters))
    made = helper.make_graph(
        _needed(nodes, list(graph.outputs)),
        title,
        [_declared(INPUT, graph, 0, letters)],
        outputs,
        [numpy_helper.from_array(a, name) for name, a in writer.initializers.items()],
    )
    read = {name for node in made.node for name in node.input}
    kept = [one for one in made.initializer if one.name in read]
    del made.initializer[:]
    made.initializer.extend(kept)
    proto = helper.make_model(
        made,
        producer_name="minifcn",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    least, most = (
        " x ".join(str(pick(axis)) for axis in zip(*graph.images, strict=True))
        for pick in (min, max)
    )
    learnt = f"{len(graph.images)} images, {least} to {most}"
    helper.set_model_props(proto, {**texts, "learnt_from": learnt})
    return proto


def _needed(nodes: list[Any], outputs: list[str]) -> list[Any]:
    """The nodes that the outputs are made of."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    return kept[::-1]


def _refuse_unknown(graph: Graph, writer: Writer) -> None:
    unknown = {
        step.name: step.layer or "the model"
        for step in graph.steps
        if step.y not in writer.fixed and step.name not in RULES
    }
    if unknown:
        listed = ", ".join(f"{name} (in {layer})" for name, layer in sorted(unknown.items()))
        raise OnnxError(f"export: no ONNX nodes are known for {listed}")


def _declared(name: str, graph: Graph, value: int, letters: dict[Any, str]) -> Any:
    """Name, element type and shape: a number, or the letter of the image's axis that it equals."""
    from onnx import helper

    sizes: list[Any] = []
    for axis, series in enumerate(graph.sizes(value)):
        fixed = len(set(series)) == 1
        sizes.append(series[0] if fixed else letters.get(series, f"{name}_{axis}"))
    dtype = helper.np_dtype_to_tensor_dtype(graph.arrays[value][0].dtype)
    return helper.make_tensor_value_info(name, dtype, sizes)
