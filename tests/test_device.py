"""Tensors and modules on a device: moved, mixed by mistake, looked at, written; there and back."""

from typing import Any

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn import nn
from minifcn.optim import SGD


def values(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def net() -> Any:
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1, generator=np.random.default_rng(0)),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.Conv2d(5, 2, 1, generator=np.random.default_rng(1)),
    )


# ---- moving tensors ----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (2, 3, 4, 5), (1, 3, 1, 1), (2, 0, 3, 3)])
@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i8", "u1", "?"])
def test_there_and_back_nothing_has_changed(cuda: Any, shape: tuple[int, ...], dtype: str) -> None:
    a = (values(*shape) * 3).astype(dtype)
    x = mf.tensor(a)
    away = x.to("cuda")
    assert (away.device, x.device) == ("cuda", "cpu")
    assert (away.shape, away.dtype) == (x.shape, x.dtype)
    for back in (away.cpu(), away.to("cpu"), mf.tensor(a, device="cuda").cpu(), x.cuda().cpu()):
        assert back.device == "cpu"
        assert np.array_equal(back.numpy(), a)


def test_who_is_there_stays_itself(device: str) -> None:
    x = mf.ones(2, device=device)
    assert x.to(device) is x
    with pytest.raises(ValueError, match="device: name is 'gpu', expected one of 'cpu', 'cuda'"):
        F.to(x, "gpu")


def test_an_array_in_any_order_of_memory_arrives(cuda: Any) -> None:
    a = values(2, 3, 4, 5)
    for lain in (a.transpose(3, 1, 0, 2), a[::-1, ::2], np.broadcast_to(a[:, :1], a.shape)):
        assert np.array_equal(mf.tensor(lain).to("cuda").numpy(), lain)
        assert np.array_equal(mf.Tensor(lain).to("cuda").numpy(), lain)


def test_an_image_arrives_in_the_order_of_its_device(cuda: Any) -> None:
    """So it is not brought into order by each operator that reads it."""
    from minifcn.kernels.cupy_kernels.memory import Copies, is_packed

    x = mf.tensor(values(2, 3, 8, 8)).to("cuda")
    made = mf.tensor(values(2, 3, 8, 8), device="cuda")
    moved = net().to("cuda")
    assert all(is_packed(one.data) for one in (x, made, *moved.parameters()))
    before = Copies.count
    moved(x), moved(made)
    assert Copies.count == before


def test_the_gradient_comes_back_to_the_device_of_its_tensor(cuda: Any) -> None:
    x = mf.tensor(values(2, 3), requires_grad=True)
    w = mf.tensor(values(2, 3, seed=1), device="cuda", requires_grad=True)
    (x.to("cuda") * w).cpu().sum().backward()
    assert x.grad is not None and w.grad is not None
    assert (x.grad.device, w.grad.device) == ("cpu", "cuda")
    assert np.array_equal(x.grad.numpy(), w.numpy())
    assert np.array_equal(w.grad.numpy(), x.numpy())


def test_a_gradient_from_elsewhere_does_not_fit(cuda: Any) -> None:
    y = mf.tensor([1.0, 2.0], device="cuda", requires_grad=True) * 2
    said = "the gradient is on 'cpu', but the tensor is on 'cuda'"
    with pytest.raises(TypeError, match=f"backward: {said}"):
        y.backward(mf.ones(2))
    x = mf.tensor([1.0], device="cuda", requires_grad=True)
    with pytest.raises(TypeError, match=f"grad: {said}"):
        x.grad = mf.ones(1)


# ---- looking and writing -----------------------------------------------------------------------


def test_looking_at_a_tensor(device: str) -> None:
    x = mf.tensor([[1.5, -2.0], [0.0, 4.0]], device=device, requires_grad=True)
    assert repr(x).startswith("tensor([[ 1.5, -2. ],")
    assert x.tolist() == [[1.5, -2.0], [0.0, 4.0]]
    assert np.asarray(x).sum() == 3.5
    assert type(x.numpy()) is np.ndarray
    with pytest.raises(ValueError, match="read-only"):
        x.numpy()[0, 0] = 1
    first = x[0, 0]
    assert (first.item(), float(first), int(first), bool(first), f"{first:.1f}") == (
        1.5, 1.5, 1, True, "1.5",
    )  # fmt: skip
    assert [one.tolist() for one in x] == x.tolist()
    assert len(x) == 2
    with pytest.raises(ValueError, match="expected one element"):
        x.item()


def test_writing_in_place(device: str) -> None:
    x = mf.zeros(2, 3, 4, 5, device=device)
    x[0, :, 1:3] = 2
    x[1] = mf.ones(3, 4, 5, device=device)
    x[:, 0, 0, 0] = [7, 8]
    assert x[0].sum().item() == 2 * 3 * 2 * 5 + 7
    assert x[1].sum().item() == 60 + 7
    x.fill_(0.5)
    assert (x == 0.5).all()
    x.copy_(np.arange(5))
    assert np.array_equal(x[1, 2, 3].numpy(), np.arange(5))
    x.zero_()
    assert not (x != 0).any()


@pytest.mark.parametrize("key", [0, (slice(1, 3), 1), (slice(None), slice(None), 2)], ids=str)
@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 2, 4, 5)], ids=str)
def test_what_is_written_into_a_part_is_in_the_whole(device: str, shape: Any, key: Any) -> None:
    x, expected = mf.zeros(shape, device=device), np.zeros(shape)
    x[key].fill_(1)
    expected[key] = 1
    x[(..., slice(0, 1))].fill_(2)
    expected[..., 0:1] = 2
    assert np.array_equal(x.numpy(), expected)


def test_a_write_is_noticed_by_a_backward_that_kept_the_old_values(device: str) -> None:
    x = mf.tensor([1.0, 2.0], device=device, requires_grad=True)
    y = x * x
    with mf.no_grad():
        x.fill_(3.0)
    with pytest.raises(RuntimeError, match="an assignment at test_device.py"):
        y.sum().backward()


def test_reading_with_masks_lists_and_arrays(device: str) -> None:
    a = values(4, 3)
    x = mf.tensor(a, device=device)
    for key in (a > 0, [2, 0, 2], np.array([[1], [0]]), (slice(None), [1, 1]), np.int64(1), -1):
        assert np.array_equal(x[key].numpy(), a[key])
        assert x[key].device == device
    assert np.array_equal(x[x > 0].numpy(), a[a > 0])
    with pytest.raises(IndexError, match="index array holds 4"):
        x[[0, 4]]


def test_a_copy_is_no_view_and_dtypes_convert(device: str) -> None:
    for x in (mf.tensor([1.5, 2.5], device=device), mf.tensor([1, 2], device=device)):
        copy = x.clone()
        x.zero_()
        assert copy.device == device
        assert copy.sum().item() >= 3
        assert copy.double().dtype == np.float64
        assert copy.half().dtype == np.float16
        assert copy.long().tolist() == [1, 2]
        assert copy.double().device == device


def test_max_unpool_says_which_index_is_outside(device: str) -> None:
    x, index = mf.ones(1, 1, 1, 1, device=device), mf.tensor([[[[4]]]], device=device)
    with pytest.raises(ValueError, match="indices hold 4, expected 0 to 3"):
        F.max_unpool2d(x, index, 2)


# ---- modules -----------------------------------------------------------------------------------


def test_a_module_moves_its_parameters_gradients_and_buffers_in_place(cuda: Any) -> None:
    model = net()
    model(mf.tensor(values(2, 3, 4, 4))).sum().backward()
    known = list(model.parameters())
    before = [one.numpy().copy() for one in (*known, *model.buffers())]
    assert model.cuda() is model
    assert [a is b for a, b in zip(model.parameters(), known, strict=True)] == [True] * len(known)
    gradients = [p.grad for p in known if p.grad is not None]
    assert {one.device for one in (*known, *model.buffers(), *gradients)} == {"cuda"}
    assert model.cpu() is model
    after = [one.numpy() for one in (*model.parameters(), *model.buffers())]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    with pytest.raises(ValueError, match="expected one of 'cpu', 'cuda'"):
        model.to("gpu")


def test_a_module_converts_its_fractions(device: str) -> None:
    model = net().to(device)
    for convert, dtype in ((model.double, "f8"), (model.half, "f2"), (model.float, "f4")):
        assert convert() is model
        assert {p.dtype for p in model.parameters()} == {np.dtype(dtype)}
        assert {b.dtype.kind for b in model.buffers()} == {"f", "i"}
        assert {p.device for p in (*model.parameters(), *model.buffers())} == {device}


def test_a_state_goes_from_device_to_device(cuda: Any) -> None:
    here, there = net(), net().to("cuda")
    with mf.no_grad():
        for p in here.parameters():
            p.copy_(values(*p.shape, seed=p.ndim))
    there.load_state_dict(here.state_dict())
    state = there.state_dict()
    assert {one.device for one in state.values()} == {"cuda"}
    x = values(2, 3, 6, 6)
    there(mf.tensor(x).to("cuda"))  # batch statistics move on; the snapshot does not
    here.load_state_dict(state)
    for name, one in here.state_dict().items():
        assert one.device == "cpu"
        assert np.array_equal(one.numpy(), state[name].numpy())


def test_a_step_on_a_device_equals_one_on_the_cpu(cuda: Any) -> None:
    x, target = values(2, 3, 6, 6), np.random.default_rng(0).integers(0, 2, (2, 6, 6))
    ends = []
    for device in ("cpu", "cuda"):
        model = net().to(device)
        optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(
                model(mf.tensor(x, device=device)), mf.tensor(target, device=device)
            )
            loss.backward()
            optimizer.step()
        ends.append([one.numpy() for one in (*model.parameters(), *model.buffers())])
    for a, b in zip(*ends, strict=True):
        assert np.abs(a - b).max() <= 1e-5 * max(np.abs(a).max(), 1)
