"""The counting generator: the words its authors published, and what a mask owes to chance."""

from typing import Any

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F

# Random123, kat_vectors: philox4x32 with 10 rounds; counter, key, words
PUBLISHED = [
    (
        (0x00000000, 0x00000000, 0x00000000, 0x00000000), (0x00000000, 0x00000000),
        (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    ),
    (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]  # fmt: skip


@pytest.fixture
def k(cuda: Any) -> Any:
    from minifcn.kernels import cupy_kernels

    return cupy_kernels


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_words_are_those_that_its_authors_published(k: Any) -> None:
    import cupy

    from minifcn.kernels.cupy_kernels.launch import program

    counter, key = (
        cupy.asarray(np.array(one, "u4")) for one in list(zip(*PUBLISHED, strict=True))[:2]
    )
    words = cupy.empty((3, 4), "u4")
    program("random", REAL=np.dtype("f4"))("philox_words", 1, 256, counter, key, words, 3)
    assert words.get().tolist() == [list(one[2]) for one in PUBLISHED]


def words_of(counter: int, key: int) -> list[int]:
    """Philox 4x32 of a counter, in Python's whole numbers."""
    c = [counter % 2**32, counter >> 32, 0, 0]
    low, high = key % 2**32, key >> 32
    for _ in range(10):
        a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [b >> 32 ^ c[1] ^ low, b % 2**32, a >> 32 ^ c[3] ^ high, a % 2**32]
        low, high = (low + 0x9E3779B9) % 2**32, (high + 0xBB67AE85) % 2**32
    return c


@pytest.mark.parametrize("n", [1, 4, 1023, 1030])  # a thread has four elements, a block 1024
def test_every_element_follows_from_key_and_place(k: Any, n: int) -> None:
    mask = k.keep(rng(7), (n,), 0.3).get()
    key = int(rng(7).integers(0, 2**63))
    draws = [word >> 8 for i in range(-(-n // 4)) for word in words_of(i, key)][:n]
    assert mask.tolist() == [draw >= 0.3 * 2**24 for draw in draws]


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_as_many_are_kept_as_p_says_and_they_are_independent(k: Any, p: float) -> None:
    """Within 4.5 standard deviations: of the mean, and of products with a neighbour in any axis."""
    generator = rng(1)
    a, b = (k.keep(generator, (2, 8, 40, 40), p).get() - (1 - p) for _ in range(2))
    bound = 4.5 / np.sqrt(a.size)
    spread = np.sqrt(p * (1 - p))
    assert abs(a.mean()) < bound * spread
    pairs = [a * b, a[1:] * a[:-1], a[:, 1:] * a[:, :-1], a[..., 1:] * a[..., :-1], a * a[:, ::-1]]
    for product in pairs[:4]:
        assert abs(product.mean()) < 4.5 / np.sqrt(product.size) * spread**2


@pytest.mark.parametrize(("p", "kept"), [(0.0, True), (1.0, False)])
def test_the_ends_are_certain(k: Any, p: float, kept: bool) -> None:
    assert (k.keep(rng(), (3, 5000), p).get() == kept).all()


def test_one_state_gives_one_mask_and_moves_on_by_one_number(k: Any) -> None:
    generator, other = rng(5), rng(5)
    first, second = (k.keep(generator, (300,), 0.5).get() for _ in range(2))
    assert np.array_equal(first, k.keep(other, (300,), 0.5).get())
    assert not np.array_equal(first, second)
    assert k.keep(generator, (0, 3), 0.5).shape == (0, 3)
    for _ in range(2):
        other.integers(0, 2**63)
    assert generator.random() == other.random()


def test_the_key_may_be_decided_anew_for_every_replay(k: Any) -> None:
    """A captured step keeps its arguments; `numbers` holds the place that the kernel reads."""
    import cupy

    from minifcn.kernels.cupy_kernels import numbers

    class Places(numbers.Flags):
        def __init__(self) -> None:
            super().__init__()
            self.asked: list[Any] = []

        def place(self, make: Any, dtype: str) -> Any:
            self.asked.append(make)
            return cupy.asarray(np.array([42], dtype))

    generator, table = rng(3), Places()
    with numbers.kept_in(table):
        mask = k.keep(generator, (4,), 0.5).get()
    assert mask.tolist() == [word >> 31 == 1 for word in words_of(0, 42)]
    assert generator.random() == rng(3).random()  # nothing is drawn before the replay
    assert [make() for make in table.asked] == [generator_key(3, after=1)]


def generator_key(seed: int, after: int) -> int:
    """What a generator gives for a key once it has given `after` fractions."""
    generator = rng(seed)
    generator.random(after)
    return int(generator.integers(0, 2**63))


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
def test_dropout_divides_what_it_keeps_and_its_gradient_has_the_same_mask(
    cuda: Any, dtype: str
) -> None:
    x = mf.tensor(np.full((2, 3, 5, 7), 3, dtype), device="cuda", requires_grad=True)
    y = F.dropout(x, 0.25, generator=rng(2))
    kept = y.numpy() != 0
    assert 0 < kept.mean() < 1
    assert np.allclose(y.numpy()[kept], 4, rtol=1e-3 if dtype == "f2" else 1e-6)
    y.sum().backward()
    assert x.grad is not None
    assert np.array_equal(x.grad.numpy() != 0, kept)


def test_whole_channels_are_dropped_alike(cuda: Any) -> None:
    x = mf.ones(4, 16, 3, 5, device="cuda")
    y = F.dropout2d(x, 0.5, generator=rng(4)).numpy()
    assert np.array_equal(y, np.broadcast_to(y[:, :, :1, :1], y.shape))
    assert set(np.unique(y)) == {0.0, 2.0}


def test_what_is_dropped_of_nan_is_nan_as_on_the_cpu(cuda: Any) -> None:
    for device in ("cpu", "cuda"):
        x = mf.tensor(np.full(64, np.nan, "f4"), device=device)
        assert np.isnan(F.dropout(x, 0.5, generator=rng()).numpy()).all()
