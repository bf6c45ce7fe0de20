"""State: what is saved can be loaded, all of it or nothing."""

import json

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn


def net(seed: int = 0) -> nn.Sequential:
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Conv2d(2, 3, 3, generator=rng), nn.BatchNorm2d(3), nn.PReLU())


def arrays(module):
    return {name: value.numpy().copy() for name, value in module.state_dict().items()}


def same(a, b) -> bool:
    return list(a) == list(b) and all(np.array_equal(a[name], b[name]) for name in a)


def test_names_are_pytorchs():
    assert list(net().state_dict()) == [
        "0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var",
        "1.num_batches_tracked", "2.weight",
    ]  # fmt: skip


def test_state_is_a_snapshot():
    module = net()
    state, before = module.state_dict(), arrays(module)
    with mf.no_grad():
        for parameter in module.parameters():
            parameter[...] = 9
    assert same({name: value.numpy() for name, value in state.items()}, before)


def test_what_is_saved_can_be_loaded():
    a, b = net(1), net(2)
    assert not same(arrays(a), arrays(b))
    assert b.load_state_dict(a.state_dict()) == ([], [])
    assert same(arrays(a), arrays(b))


def test_loading_writes_in_place_and_converts():
    module = net()
    weight, memory = module[0].weight, module[0].weight.data
    values = {name: value.astype(np.float64) + 1 for name, value in arrays(module).items()}
    module.load_state_dict(values)
    assert module[0].weight is weight
    assert weight.data is memory
    assert memory.dtype == np.float32
    assert module[1].num_batches_tracked.item() == 1


def test_a_graph_older_than_the_load_refuses_to_go_backward():
    module = net()
    y = module(mf.tensor(np.ones((2, 2, 4, 4), np.float32), requires_grad=True)).sum()
    module.load_state_dict(module.state_dict())
    with pytest.raises(mf.VersionError):
        y.backward()


def test_all_complaints_come_together_and_nothing_is_loaded():
    module = net()
    before = arrays(module)
    values = {name: value + 1 for name, value in before.items()}
    del values["1.bias"], values["2.weight"]
    values["3.weight"] = np.zeros(1)
    values["0.weight"] = np.zeros((3, 2, 5, 5), np.float32)
    with pytest.raises(ValueError) as error:
        module.load_state_dict(values)
    lines = str(error.value).splitlines()
    assert "load_state_dict" in lines[0]
    assert "Sequential" in lines[0]
    assert any("missing" in line and "1.bias, 2.weight" in line for line in lines)
    assert any("unexpected" in line and "3.weight" in line for line in lines)
    assert any("0.weight" in n and "(3, 2, 5, 5)" in n and "(3, 2, 3, 3)" in n for n in lines)
    assert same(arrays(module), before)


def test_not_strict_loads_what_fits_and_says_what_it_passed_over():
    module = net()
    loaded = module.load_state_dict({"1.bias": np.full(3, 4.0), "head": np.zeros(1)}, strict=False)
    assert module[1].bias.tolist() == [4, 4, 4]
    assert "1.bias" not in loaded.missing_keys
    assert len(loaded.missing_keys) == 7
    assert loaded.unexpected_keys == ["head"]


def test_not_strict_still_refuses_a_wrong_shape():
    module = net()
    before = arrays(module)
    with pytest.raises(ValueError, match=r"1\.bias.*\(1,\).*\(3,\)"):
        module.load_state_dict({"1.bias": np.zeros(1), "1.weight": np.zeros(3)}, strict=False)
    assert same(arrays(module), before)


def test_buffers_that_are_not_persistent_stay_out():
    module = nn.Module()
    module.register_buffer("kept", mf.tensor([1.0]))
    module.register_buffer("made", mf.tensor([1.0]), persistent=False)
    module.register_buffer("none", None)
    assert list(module.state_dict()) == ["kept"]
    assert [name for name, _ in module.named_buffers()] == ["kept", "made"]
    assert nn.Module().state_dict() == {}, "registering belongs to one module, not to the class"


def test_random_streams_continue_where_they_were():
    module = nn.Sequential(nn.Dropout(0.5, seed=1), nn.Dropout2d(0.5, seed=2))
    x = mf.tensor(np.ones((4, 8, 2, 2)))
    module(x)
    state = json.loads(json.dumps(module.random_state()))
    assert sorted(state) == ["0.generator", "1.generator"]
    first, second = module(x).numpy(), module(x).numpy()
    assert not np.array_equal(first, second)
    fresh = nn.Sequential(nn.Dropout(0.5, seed=8), nn.Dropout2d(0.5, seed=9))
    fresh.load_random_state(state)
    assert np.array_equal(fresh(x).numpy(), first)
    assert np.array_equal(fresh(x).numpy(), second)
    with pytest.raises(ValueError, match=r"0\.generator"):
        nn.Identity().load_random_state(state)
