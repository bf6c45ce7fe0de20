"""An ONNX file as a network of ours: what it computes, what in it is trained, what is refused."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn import models, optim

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from minifcn.interop import onnx as mo  # noqa: E402

CONFIGS: dict[str, dict[str, Any]] = {
    "fcn": {"name": "fcn", "encoder": {"name": "small", "width": 4, "depth": 3}, "classes": 3},
    "fcn on squeezenet": {"name": "fcn", "encoder": {"name": "squeezenet1_1"}, "classes": 2},
    "unet": {"name": "unet", "classes": 2, "width": 4, "depth": 3, "norm": True},
    "espnet": {"name": "espnet", "classes": 4},
}
rng = np.random.default_rng


def photo(n: int, h: int, w: int) -> mf.Tensor:
    return mf.tensor(rng(h).standard_normal((n, 3, h, w)).astype(np.float32))


def both(name: str, tmp_path: Path) -> tuple[Any, mo.Network]:
    """A network, and what comes back from its file."""
    model = models.build(CONFIGS[name], generator=rng(1)).eval()
    mo.export(model, tmp_path / "model.onnx")
    return model, mo.load(tmp_path / "model.onnx")


@pytest.mark.parametrize("name", CONFIGS)
def test_what_was_exported_comes_back(name: str, tmp_path: Path) -> None:
    model, loaded = both(name, tmp_path)
    for shape in ((1, 64, 64), (2, 53, 38)):
        x = photo(*shape)
        y, z = model(x).numpy(), loaded(x).numpy()
        np.testing.assert_allclose(z, y, rtol=1e-4, atol=1e-5 * abs(y).max())
    names = {n for n in model.state_dict() if not n.endswith("num_batches_tracked")}
    assert set(loaded.state_dict()) == names
    assert {n for n, _ in loaded.named_parameters()} == {n for n, _ in model.named_parameters()}
    model.load_state_dict(loaded.state_dict(), strict=False)


@pytest.mark.parametrize("training", [False, True], ids=["frozen statistics", "the batch's"])
@pytest.mark.parametrize("name", ["fcn", "unet", "espnet"])
def test_gradients_reach_every_parameter_and_are_the_same(
    name: str, training: bool, tmp_path: Path
) -> None:
    model, loaded = both(name, tmp_path)
    x, weight = photo(2, 40, 48), None
    for net in (model, loaded):
        net.train(training)
        y = net(x)
        weight = rng(5).standard_normal(y.shape).astype(np.float32) if weight is None else weight
        (y * mf.tensor(weight)).sum().backward()
    ours = dict(model.named_parameters())
    for name, parameter in loaded.named_parameters():
        assert parameter.grad is not None and ours[name].grad is not None, name
        g, expected = parameter.grad.numpy(), ours[name].grad.numpy()
        np.testing.assert_allclose(g, expected, rtol=1e-3, atol=1e-4 * abs(expected).max())
    for name, tensor in loaded.state_dict().items():  # the statistics moved alike
        np.testing.assert_allclose(
            tensor.numpy(), model.state_dict()[name].numpy(), rtol=1e-4, atol=1e-5
        )


def test_a_loaded_network_learns(tmp_path: Path) -> None:
    _, net = both("fcn", tmp_path)
    net.train()
    x = photo(2, 32, 32)
    target = mf.tensor((x.numpy()[:, 0] > 0).astype(np.int64))
    sgd = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(25):
        loss = F.cross_entropy(net(x), target)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_it_runs_on_another_device(cuda: object, tmp_path: Path) -> None:
    model, net = both("fcn", tmp_path)
    x = photo(1, 19, 26)
    y = net.to("cuda")(x.numpy())
    assert y.device == "cuda"
    np.testing.assert_allclose(y.numpy(), model(x).numpy(), rtol=1e-4, atol=1e-5)


# ---- graphs made by hand -------------------------------------------------------------------------


def graph(
    nodes: list[Any], constants: dict[str, Any] | None = None, opset: int = 19, **more: Any
) -> Any:
    """x -> y."""
    made = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            value if isinstance(value, TensorProto) else numpy_helper.from_array(value, name)
            for name, value in (constants or {}).items()
        ],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], **more)


def network(proto: Any, tmp_path: Path) -> mo.Network:
    path = tmp_path / "hand.onnx"
    path.write_bytes(proto.SerializeToString())
    return mo.load(path)


def node(kind: str, *inputs: str, **attributes: Any) -> Any:
    return helper.make_node(kind, list(inputs), ["y"], **attributes)


def test_dropout_and_statistics_follow_the_phase(tmp_path: Path) -> None:
    one = np.ones(2, np.float32)
    nodes = [
        helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["n"], momentum=0.75),
        node("Dropout", "n"),
    ]
    net = network(graph(nodes, {"s": one, "b": 0 * one, "m": one, "v": 4 * one}), tmp_path)
    x = rng(0).standard_normal((50, 2, 4, 4)).astype(np.float32)
    np.testing.assert_allclose(net(x).numpy(), (x - 1) / np.sqrt(4 + 1e-5), rtol=1e-5)
    np.testing.assert_array_equal(net.state_dict()["m"].numpy(), one)
    y = net.train()(x).numpy()
    assert 0.45 < (y == 0).mean() < 0.55
    batch = x.mean((0, 2, 3))
    np.testing.assert_allclose(net.state_dict()["m"].numpy(), 0.75 + 0.25 * batch, rtol=1e-5)
    assert (net(x).numpy() != y).any(), "another mask"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_has_a_life_of_its_own(copied: Any, tmp_path: Path) -> None:
    net = network(graph([node("Dropout", "x")]), tmp_path)
    other = copied(net)
    x = np.ones(100, np.float32)
    assert (other.train()(x).numpy() == 0).any()
    assert (net(x).numpy() == 1).all()
    assert (other(x).numpy() == 0).any()


def test_what_a_layer_trains_is_a_parameter_and_numbers_are_not(tmp_path: Path) -> None:
    w, two = np.ones((3, 4), np.float32), np.array(2, np.float32)
    nodes = [
        helper.make_node("Transpose", ["forward"], ["t"]),
        helper.make_node("MatMul", ["x", "t"], ["z"]),
        helper.make_node("Clip", ["z", "", "limit"], ["c"]),
        node("Mul", "c", "two"),
    ]
    constants = {"forward": w, "two": two, "limit": np.array(3, np.float32)}
    net = network(graph(nodes, constants), tmp_path)
    assert [name for name, _ in net.named_parameters()] == ["forward_"], "not the method's name"
    assert net(np.ones((1, 4), np.float32)).tolist() == [[6.0, 6.0, 6.0]]


@pytest.mark.parametrize(
    ("opset", "nodes", "x", "y"),
    [
        (6, [node("Softmax", "x")], np.zeros((1, 2, 2)), np.full((1, 2, 2), 0.25)),
        (13, [node("Softmax", "x")], np.zeros((1, 2, 2)), np.full((1, 2, 2), 0.5)),
        (9, [node("Upsample", "x", "f")], np.ones((1, 1, 1, 1)), np.ones((1, 1, 2, 3))),
        (6, [node("Clip", "x", max=1.0)], np.array([3.0, -3.0]), np.array([1.0, -3.0])),
        (9, [node("Slice", "x", starts=[1], ends=[3])], np.arange(4.0), np.array([1.0, 2.0])),
        (11, [node("Squeeze", "x", axes=[1])], np.ones((2, 1)), np.ones(2)),
        (6, [node("Add", "x", "b", broadcast=1, axis=0)], np.zeros((2, 3)),
         np.array([[1.0] * 3, [2.0] * 3])),
        (11, [node("ReduceSum", "x", axes=[0], keepdims=0)], np.ones((2, 3)), np.full(3, 2.0)),
        (10, [node("Resize", "x", "f")], np.ones((1, 1, 2, 1)), np.ones((1, 1, 4, 3))),
    ],
)  # fmt: skip
def test_older_opsets_mean_what_they_meant(
    opset: int, nodes: list[Any], x: Any, y: Any, tmp_path: Path
) -> None:
    constants = {"f": np.array([1, 1, 2, 3], np.float32), "b": np.array([1, 2], np.float32)}
    used = {name: value for name, value in constants.items() if name in nodes[0].input}
    net = network(graph(nodes, used, opset), tmp_path)
    np.testing.assert_array_equal(net(x.astype(np.float32)).numpy(), y.astype(np.float32))


def test_all_that_is_not_supported_is_said_at_once(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("LSTM", ["x"], ["a"], name="first"),
        helper.make_node("Conv", ["a", "x"], ["b"], auto_pad="SOMEHOW"),
        helper.make_node("Relu", ["b"], ["c"], alpha=2.0),
        helper.make_node("Nothing", ["c"], ["d"], domain="some.where"),
        node("Gelu", "d"),
    ]
    with pytest.raises(mo.OnnxError) as error:
        network(graph(nodes), tmp_path)
    text = str(error.value)
    for words in ("operator LSTM (node 'first')", "auto_pad is 'SOMEHOW'", "attribute alpha",
                  "some.where.Nothing", "approximate is 'none'"):  # fmt: skip
        assert words in text


def test_a_wrong_input_is_named(tmp_path: Path) -> None:
    proto = graph([node("Relu", "x")])
    sizes = proto.graph.input[0].type.tensor_type.shape.dim
    for size in ("N", 3):
        setattr(sizes.add(), "dim_value" if isinstance(size, int) else "dim_param", size)
    net = network(proto, tmp_path)
    with pytest.raises(mo.OnnxError, match=r"input 'x' has shape \(2, 4\), expected \(any, 3\)"):
        net(np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match="got 2 inputs, expected 1: x"):
        net(1, 2)
