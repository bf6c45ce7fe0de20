"""Module: what it finds, what it is called, what it says when something goes wrong."""

import copy

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn
from minifcn.modes import mode


class Block(nn.Module):
    def __init__(self) -> None:
        self.conv = nn.Conv2d(2, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(self.conv(x))


class Net(nn.Module):
    """A part, a list of parts, a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Block()
        self.heads = nn.ModuleList([nn.Conv2d(3, 1, 1, bias=False)])
        self.scale = nn.Parameter(np.ones(1, np.float32))
        self.kept: object = None

    def forward(self, x):
        return self.heads[0](self.stem(x)) * self.scale


class Witness(nn.Module):
    """Notes the path under which it runs."""

    seen = ""

    def forward(self, x):
        self.seen = mode.layer
        return x


def names(pairs):
    return [name for name, _ in pairs]


def test_parameters_and_buffers_are_found_in_order_of_assignment():
    own_first = ["scale", "stem.conv.weight", "stem.conv.bias", "stem.norm.weight",
                 "stem.norm.bias", "heads.0.weight"]  # fmt: skip
    running = ["running_mean", "running_var", "num_batches_tracked"]
    net = Net()
    assert names(net.named_parameters()) == own_first
    assert names(net.named_parameters("net", recurse=False)) == ["net.scale"]
    assert names(net.named_buffers()) == [f"stem.norm.{name}" for name in running]
    assert names(net.named_modules()) == ["", "stem", "stem.conv", "stem.norm", "heads", "heads.0"]
    assert names(net.named_children()) == ["stem", "heads"]
    assert net.get_submodule("stem.norm") is net.stem.norm
    with pytest.raises(AttributeError, match=r"stem\.gone"):
        net.get_submodule("stem.gone")


def test_a_shared_module_counts_once_and_is_saved_under_both_names():
    conv = nn.Conv2d(2, 2, 1)
    twice = nn.Sequential(conv, conv)
    assert names(twice.named_parameters()) == ["0.weight", "0.bias"]
    assert list(twice.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_a_parameter_is_not_lost_by_assignment():
    conv = nn.Conv2d(1, 1, 1)
    with pytest.raises(TypeError) as error:
        conv.weight = mf.tensor([1.0])  # type: ignore[assignment] # the slip under test
    for fact in ("Conv2d", "weight", "Tensor", "nn.Parameter", "copy_"):
        assert fact in str(error.value)
    conv.bias = None
    assert names(conv.named_parameters()) == ["weight"]


@pytest.mark.parametrize(
    "hidden", [[nn.ReLU()], (nn.ReLU(),), {"a": nn.ReLU()}, [nn.Parameter([1.0])]]
)
def test_modules_in_plain_lists_would_be_lost_silently(hidden):
    net = Net()
    with pytest.raises(TypeError) as error:
        net.kept = hidden
    for fact in ("Net", "kept", type(hidden).__name__, "nn.ModuleList"):
        assert fact in str(error.value)
    net.kept = [1, "two", (3,)]


def test_a_parameter_owns_its_memory():
    source = np.zeros(3)
    parameter = nn.Parameter(source)
    source[:] = 7
    assert parameter.tolist() == [0, 0, 0]
    assert parameter.dtype == np.float64
    assert parameter.requires_grad


def test_the_running_module_is_known_by_its_path():
    witness = Witness()
    net = nn.Sequential(nn.Identity(), nn.Sequential(nn.Identity(), witness))
    net(mf.tensor([1.0]))
    assert (witness.seen, mode.layer) == ("1.1", "")
    witness(mf.tensor([1.0]))
    assert witness.seen == "Witness"


def test_a_module_in_a_list_is_known_by_its_path():
    net = Net()
    witness = Witness()
    net.heads[0] = witness
    net(mf.tensor(np.ones((1, 2, 3, 3), np.float32)))
    assert witness.seen == "heads.0"


def test_an_error_names_the_innermost_layer_once_and_the_path_is_restored():
    net = Net()
    with pytest.raises(mf.ShapeError) as error:
        net(mf.tensor(np.ones((1, 5, 4, 4), np.float32)))
    text = str(error.value)
    assert text.count("in layer") == 1
    assert "in layer stem.conv: Conv2d(2, 3, kernel_size=(3, 3)" in text
    assert text.startswith("conv2d: ")
    assert mode.layer == ""
    witness = Witness()
    nn.Sequential(witness)(mf.tensor([1.0]))
    assert witness.seen == "0", "an error must not leave its module on the stack"


def test_wrong_arguments_of_forward_name_the_layer():
    with pytest.raises(TypeError) as error:
        nn.Sequential(Block())(1, 2)
    assert "Sequential" in str(error.value)


def test_anomalies_name_the_layer():
    class Log(nn.Module):
        def forward(self, x):
            return x.log()

    with mf.detect_anomaly(), pytest.raises(mf.AnomalyError, match=r"log in 1: "):
        nn.Sequential(nn.Identity(), Log())(mf.tensor([0.0]))


def test_modes_reach_every_module():
    net = Net()
    assert all(module.training for module in net.modules())
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert all(module.training for module in net.train().modules())


def test_freezing_and_forgetting():
    net = Net()
    x = mf.tensor(np.ones((2, 2, 3, 3), np.float32))
    net.stem.requires_grad_(False)
    net(x).sum().backward()
    assert [p.grad is None for p in net.parameters()] == [False, True, True, True, True, False]
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_()
    assert all(p.requires_grad for p in net.parameters())


def test_apply_visits_parts_before_wholes():
    order: list[str] = []
    Net().apply(lambda module: order.append(type(module).__name__))
    assert order == ["Conv2d", "BatchNorm2d", "Block", "Conv2d", "ModuleList", "Net"]


def test_astype_converts_values_gradients_and_statistics_but_not_counts():
    net = Net()
    parameters = list(net.parameters())
    net(mf.tensor(np.ones((2, 2, 3, 3), np.float32))).sum().backward()
    before = {name: p.grad.numpy() for name, p in net.named_parameters() if p.grad is not None}
    assert net.double() is net
    assert [id(p) for p in net.parameters()] == [id(p) for p in parameters]
    for name, p in net.named_parameters():
        assert p.grad is not None
        assert p.dtype == p.grad.dtype == np.float64
        assert np.array_equal(p.grad.numpy(), before[name])
    kinds = {name: str(buffer.dtype) for name, buffer in net.named_buffers()}
    assert set(kinds.values()) == {"float64", "int64"}
    net(mf.tensor(np.ones((2, 2, 3, 3)))).sum().backward()
    assert net.float().scale.dtype == np.float32
    with pytest.raises(TypeError, match="int64"):
        net.astype(np.int64)


def test_to_a_device_that_is_there_or_unknown():
    net = Net()
    assert net.to("cpu") is net
    with pytest.raises(ValueError, match="tpu"):
        net.to("tpu")


def test_a_deep_copy_is_independent():
    net = Net()
    twin = copy.deepcopy(net)
    with mf.no_grad():
        twin.scale[...] = 5
    assert net.scale.tolist() == [1]
    assert names(twin.named_parameters()) == names(net.named_parameters())


def test_repr_is_pytorchs_tree():
    assert repr(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU()))) == (
        "Sequential(\n"
        "  (0): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "  )\n"
        ")"
    )


def test_regularizers_add_up_over_the_tree():
    rng = np.random.default_rng(0)
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, regularizer=nn.L2(0.1), dtype=np.float64, generator=rng),
        nn.Conv2d(2, 1, 1),
        nn.ConvTranspose2d(1, 2, 2, regularizer=nn.L1(0.3), dtype=np.float64, generator=rng),
    )
    a, b = net[0].weight.numpy(), net[2].weight.numpy()
    total = net.regularization()
    assert total.item() == pytest.approx(0.05 * (a**2).sum() + 0.3 * np.abs(b).sum())
    total.backward()
    assert np.allclose(net[0].weight.grad.numpy(), 0.1 * a), "that of weight_decay = 0.1"
    assert np.allclose(net[2].weight.grad.numpy(), 0.3 * np.sign(b))
    assert net[1].weight.grad is None
    assert nn.Sequential(net[1]).regularization() == 0
