"""How arrays lie on a GPU: images N H W C; in a training step none is brought into that order."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn import functional as F
from minifcn import optim
from minifcn.kernels.cupy_kernels import memory
from minifcn.models import FCN, SmallEncoder
from tests.devices import host, on

pytestmark = pytest.mark.usefixtures("cuda")

SHAPES = [
    (),
    (0,),
    (5,),
    (2, 3),
    (2, 3, 4),
    (2, 3, 4, 5),
    (1, 3, 1, 2),
    (2, 1, 4, 1),
    (0, 3, 2, 2),
    (2, 3, 2, 2, 2),
]


def numbers(shape: Any) -> Any:
    return np.asarray(np.random.default_rng(0).standard_normal(shape))


def orders(x: Any) -> list[Any]:
    """The same values in other orders in memory."""
    by_pixels = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2) if x.ndim == 4 else x
    backwards = x[(slice(None, None, -1),) * x.ndim].copy()[(slice(None, None, -1),) * x.ndim]
    return [x, by_pixels, np.asarray(x.T.copy().T), np.asarray(backwards)]


# ---- the order -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_room_lies_in_our_order(shape: Any) -> None:
    made = memory.empty(shape, np.float32)
    assert made.shape == shape and made.dtype == np.float32 and memory.is_packed(made)
    if len(shape) == 4 and made.size and shape[1] > 1:
        N, C, H, W = shape
        assert made.strides[1] == 4 and (W == 1 or made.strides[3] == 4 * C)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_packing_keeps_the_values_and_copies_only_if_it_must(shape: Any) -> None:
    x = numbers(shape)
    for laid in orders(x):
        there = on("cuda", laid)
        before = memory.Copies.count
        packed = memory.packed(there)
        assert memory.is_packed(packed) and np.array_equal(host(packed), x)
        assert (packed is there) == memory.is_packed(there) == (memory.Copies.count == before)
        line = host(memory.dense(there))
        assert np.array_equal(line, (x.transpose(0, 2, 3, 1) if x.ndim == 4 else x).ravel())
        assert memory.packed(packed) is packed
        plain = memory.in_c_order(there)
        assert plain.flags.c_contiguous and np.array_equal(host(plain), x)


@pytest.mark.parametrize("shape", [s for s in SHAPES if 0 not in s], ids=str)
@pytest.mark.parametrize("dtype", ["?", "i1", "f2", "i4", "f4", "i8", "f8"])
def test_elements_of_any_width_move_between_any_strides(shape: Any, dtype: str) -> None:
    x = np.asarray(10 * numbers(shape)).astype(dtype)
    for source in orders(x):
        for target in orders(np.zeros_like(x)):
            to = on("cuda", target)
            memory.put(on("cuda", source), to)
            assert np.array_equal(host(to), x)
    wide = on("cuda", np.zeros((*shape, 3), dtype))
    memory.put(on("cuda", np.broadcast_to(x[..., None], (*shape, 3))), wide)
    assert np.array_equal(host(wide), np.broadcast_to(x[..., None], (*shape, 3)))


def test_axes_that_lie_alike_are_one() -> None:
    """Fewer axes to divide by: most copies know three at most; the result's fastest is the last."""

    def axes(*arrays: Any) -> list[list[int]]:
        found = memory.views(*[on("cuda", a) for a in arrays])
        return [view["size"][: view["ndim"]].tolist() for _, view in found]

    x = numbers((2, 3, 4, 5))
    assert axes(x, x) == [[120]] * 2
    assert axes(x, x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)) == [[2, 20, 3]] * 2
    assert axes(x[:, :, 1:3], x[:, :, 1:3].copy()) == [[6, 10]] * 2
    assert axes(numbers((1, 1, 1, 1))) == [[]]


def test_more_axes_than_a_view_has_are_refused() -> None:
    x = numbers((2,) * 7)
    assert np.array_equal(host(memory.packed(on("cuda", x.swapaxes(0, 1)))), x.swapaxes(0, 1))
    with pytest.raises(ValueError, match="7 axes, expected at most 6"):
        memory.packed(on("cuda", x.T))


# ---- a training step -----------------------------------------------------------------------------


def stepper(H: int, W: int, skips: int = 2) -> Callable[[], float]:
    """A training step of an FCN of stride 8."""
    rng = np.random.default_rng(0)
    with mf.device("cuda"):
        encoder = SmallEncoder(width=8, depth=3, generator=rng)
        net = FCN(encoder, classes=5, skips=skips, generator=rng)
        x = mf.tensor(rng.standard_normal((2, 3, H, W)).astype("f4"))
        target = mf.tensor(rng.integers(0, 5, (2, H, W)))
    net.train()
    sgd = optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)

    def step() -> float:
        sgd.zero_grad()
        loss = F.cross_entropy(net(x), target)
        loss.backward(retain_graph=False)
        sgd.step()
        return float(loss.item())

    return step


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shape of every array that is brought into another order."""
    seen: list[tuple[int, ...]] = []
    put = memory.put

    def noted(x: Any, y: Any) -> None:
        seen.append(x.shape)
        put(x, y)

    monkeypatch.setattr(memory, "put", noted)
    return seen


@pytest.mark.parametrize(
    ("H", "W", "skips", "crops"),
    [
        (16, 24, 2, []),
        (16, 24, 0, []),
        (18, 23, 2, [(2, 5, 5, 6), (2, 5, 9, 12), (2, 5, 18, 23)]),  # none fits its half
    ],
)
def test_after_the_first_layer_no_image_is_converted(
    H: int, W: int, skips: int, crops: Any, converted: list[tuple[int, ...]]
) -> None:
    """A photo comes N C H W: the first layer may convert it. Crops are brought into our order."""
    step = stepper(H, W, skips)
    step()
    converted.clear()
    before = memory.Copies.count
    assert np.isfinite(step())
    assert memory.Copies.count - before == len(converted), "all conversions are seen"
    images = [shape for shape in converted if len(shape) == 4 and shape != (2, 3, H, W)]
    assert set(images) <= set(crops) and len(images) <= len(crops)
    # What is left is the gradient of a mean: one number, repeated for all pixels.
    assert {shape for shape in converted if len(shape) != 4} <= {(2, H, W)}
    assert len(converted) - len(images) <= 3


def test_a_foreign_order_is_converted_once_and_counted(converted: list[tuple[int, ...]]) -> None:
    x = mf.tensor(numbers((1, 2, 5, 4)), device="cuda")
    lies = F.relu(x)
    converted.clear()
    foreign = mf.Tensor(on("cuda", np.ascontiguousarray(lies.numpy())))
    before = memory.Copies.count
    assert np.array_equal(F.relu(foreign).numpy(), lies.numpy())
    assert memory.Copies.count == before + 1 and converted == [(1, 2, 5, 4)]
    F.relu(lies)
    assert memory.Copies.count == before + 1


def test_every_result_of_a_step_lies_in_our_order() -> None:
    made: list[tuple[str, Any]] = []
    step = stepper(18, 23)
    mf.modes.mode.trace = lambda op, inputs, y: made.append((op.name, y))
    try:
        step()
    finally:
        mf.modes.mode.trace = None
    images = [(name, y) for name, y in made if y.ndim == 4 and 0 not in y.strides]
    assert len(images) > 50
    assert {name for name, y in images if not memory.is_packed(y)} == set()
