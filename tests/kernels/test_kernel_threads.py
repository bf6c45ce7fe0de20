"""Large kernels in several threads: the same results, no thread left, no error lost."""

import threading
from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn import functional as F
from minifcn import nn
from minifcn.kernels.numpy_kernels import threads


@pytest.fixture(autouse=True)
def share_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "WORTH", 1)


CASES: dict[str, Any] = {  # of images 3 x 8 x H x W
    "winograd2": lambda: nn.Conv2d(8, 16, 3, padding=1),
    "taps": lambda: nn.Conv2d(8, 6, 5, padding=3, dilation=2),
    "im2col": lambda: nn.Conv2d(8, 6, 3, stride=2, padding=1, groups=2),
    "depthwise": lambda: nn.Conv2d(8, 8, 3, padding=1, groups=8),
    "pointwise": lambda: nn.Conv2d(8, 6, 1),
    "transposed": lambda: nn.ConvTranspose2d(8, 6, 3, stride=2, output_padding=1),
    "norm": lambda: nn.BatchNorm2d(8),
    "norm and ReLU": lambda: nn.Sequential(nn.BatchNorm2d(8), nn.ReLU()),
}


def results(case: str, H: int, W: int, dtype: Any) -> list[Any]:
    """The output, and all gradients."""
    layer = CASES[case]().astype(dtype)
    rng = np.random.default_rng(1)
    for p in layer.parameters():
        with mf.no_grad():
            p.copy_(mf.tensor(rng.standard_normal(p.shape).astype(dtype)))
    x = mf.tensor(rng.standard_normal((3, 8, H, W)).astype(dtype), requires_grad=True)
    way = case if case in ("winograd2", "taps", "im2col") else "depthwise"
    with mf.conv_algorithm(way):
        y = layer(x)
        y.backward(mf.tensor(rng.standard_normal(y.shape).astype(dtype)))
    return [y.numpy(), x.grad.numpy(), *[p.grad.numpy() for p in layer.parameters()]]  # type: ignore[union-attr] # they have one


@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize(("H", "W"), [(37, 26), (8, 9), (5, 40)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_the_result_is_that_of_one_thread(
    case: str, dtype: Any, H: int, W: int, count: int
) -> None:
    alone = results(case, H, W, dtype)
    with mf.num_threads(count):
        shared = results(case, H, W, dtype)
        again = results(case, H, W, dtype)
    for one, several, twice in zip(alone, shared, again, strict=True):
        size = np.abs(one).max()
        assert np.abs(several - one).max() <= (2e-5 if dtype == np.float32 else 1e-12) * size
        assert several.tobytes() == twice.tobytes(), "the same bits every time"
    assert threading.active_count() == 1, "no thread is left"


def test_parts_cover_all_rows_once_in_whole_tiles() -> None:
    for count in (1, 2, 3, 5):
        with mf.num_threads(count):
            for rows in range(1, 40):
                parts = threads.shares(rows, 1000, 4)
                assert len(parts) <= count
                assert [i for part in parts for i in range(rows)[part]] == list(range(rows))
                assert all(part.start % 4 == 0 for part in parts)


def test_threads_do_overlap() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def job(part: slice) -> int:
        meeting.wait()
        return part.start

    with mf.num_threads(2):
        assert threads.each(job, threads.shares(8, 1000, 4)) == [0, 4]


def test_an_error_of_any_thread_is_raised_after_all_have_ended() -> None:
    ended = []

    def job(part: slice) -> None:
        if part.start:
            raise MemoryError("no room")
        ended.append(part)

    with pytest.raises(MemoryError, match="no room"), mf.num_threads(2):
        threads.each(job, threads.shares(8, 1000, 4))
    assert ended == [slice(0, 4)]


def test_infinities_are_as_silent_as_in_one_thread() -> None:
    x = mf.tensor(np.full((2, 8, 12, 12), np.inf, np.float32))
    with mf.num_threads(2):
        assert np.isnan(F.conv2d(x, mf.tensor(np.zeros((8, 8, 3, 3), np.float32))).numpy()).all()


def test_the_count_is_checked_and_belongs_to_its_thread() -> None:
    with pytest.raises(ValueError, match=r"num_threads: count is 0"), mf.num_threads(0):
        pass
    seen = []
    with mf.num_threads(3):
        other = threading.Thread(target=lambda: seen.append(threads._threads.count))
        other.start()
        other.join()
        assert threads._threads.count == 3
    assert seen == [1]
    assert threads._threads.count == 1
