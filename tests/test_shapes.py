"""Letters bind to sizes, numbers to pairs, and a Window knows its own geometry."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifcn import ShapeError, Window
from minifcn.shapes import bind, pair, whole
from minifcn.window import pad_word, sides, span, split_pad

# ---- letters -----------------------------------------------------------------------------------


def test_letters_get_their_sizes() -> None:
    sizes = bind("linear", x=("N I", (2, 3)), weight=("O I", (5, 3)), bias=("O", (5,)))
    assert sizes == {"N": 2, "I": 3, "O": 5}
    assert bind("scalar", x=("", ())) == {}


def test_a_letter_has_one_size_also_within_one_argument() -> None:
    with pytest.raises(ShapeError) as caught:
        bind("covariance", x=("D D", (3, 4)))
    text = str(caught.value)
    assert "covariance: axis 1 (D) of x is 4" in text and "axis 0 (D) of x is 3" in text


@given(st.lists(st.integers(0, 3), min_size=3, max_size=3), st.integers(0, 2), st.integers(1, 3))
def test_any_disagreement_names_both_axes(shape: list[int], axis: int, more: int) -> None:
    other = list(shape)
    other[axis] += more
    with pytest.raises(ShapeError) as caught:
        bind("op", a=("A B C", tuple(shape)), b=("A B C", tuple(other)))
    first = str(caught.value).split("\n")[0]
    letter = "ABC"[axis]
    assert first == (
        f"op: axis {axis} ({letter}) of b is {other[axis]}, "
        f"but axis {axis} ({letter}) of a is {shape[axis]}"
    )
    assert f"a: A B C = {tuple(shape)}" in str(caught.value)


def test_a_wrong_rank_says_which_axes_are_expected() -> None:
    with pytest.raises(ShapeError) as caught:
        bind("conv2d", x=("N C H W", (3, 32, 32)))
    assert str(caught.value) == "conv2d: x has 3 axes (3, 32, 32), expected 4: N C H W"


# ---- numbers -----------------------------------------------------------------------------------


class Index:
    """What NumPy's integers are, without NumPy."""

    def __index__(self) -> int:
        return 7


def test_whole_numbers() -> None:
    assert whole("op", "n", 3, 0) == 3
    assert whole("op", "n", Index(), 0) == 7
    for wrong in (1.0, "1", None, True):
        with pytest.raises(TypeError, match=r"op: n is .*expected a whole number"):
            whole("op", "n", wrong, 0)
    with pytest.raises(ShapeError, match="op: n is -1, expected at least 0"):
        whole("op", "n", -1, 0)


def test_pairs() -> None:
    assert pair("op", "stride", 2, 1) == (2, 2)
    assert pair("op", "stride", (2, 3), 1) == pair("op", "stride", [2, 3], 1) == (2, 3)
    for wrong in ((1,), (1, 2, 3), ()):
        with pytest.raises(ShapeError, match=r"op: stride is .*one number or \(height, width\)"):
            pair("op", "stride", wrong, 1)
    with pytest.raises(
        ShapeError, match=r"op: stride along axis 3 \(W\) is 0, expected at least 1"
    ):
        pair("op", "stride", (1, 0), 1)


def test_sides() -> None:
    assert sides("op", 2) == ((2, 2), (2, 2))
    assert sides("op", (1, 2)) == ((1, 1), (2, 2))
    assert sides("op", ((1, 2), [3, 4])) == ((1, 2), (3, 4))
    for wrong in ((1, 2, 3), ((1, 2), 3), ((1, 2, 3), (1, 2, 3)), (1,), ((1, 2),)):
        with pytest.raises(
            ShapeError, match=r"op: padding is .*\(\(top, bottom\), \(left, right\)\)"
        ):
            sides("op", wrong)
    with pytest.raises(ShapeError, match=r"padding after axis 3 \(W\) is -1, expected at least 0"):
        sides("op", ((0, 0), (0, -1)))


def test_words() -> None:
    assert split_pad(3, "same") == (1, 2) and split_pad(3, "same_lower") == (2, 1)
    assert split_pad(4, "same") == split_pad(4, "same_lower") == (2, 2)
    assert pad_word("op", "valid") == "valid"
    with pytest.raises(ShapeError, match="op: padding is 'SAME'"):
        pad_word("op", "SAME")


# ---- windows -----------------------------------------------------------------------------------

small = st.integers(0, 3)
one = st.integers(1, 4)


def column(H: int, K: int, s: int, d: int, pads: tuple[int, int], **more: Any) -> Window:
    """A window that is interesting along H only."""
    return Window.for_conv("op", (H, 1), (K, 1), (s, 1), (pads, (0, 0)), (d, 1), **more)


@given(st.integers(1, 12), one, one, one, small, small)
def test_the_last_window_fits_and_the_next_does_not(
    H: int, K: int, s: int, d: int, top: int, bottom: int
) -> None:
    """P is the largest number with  s (P - 1) + d (K - 1) + 1 <= H + top + bottom."""
    if span(K, d) > H + top + bottom:
        with pytest.raises(ShapeError, match=r"axis 2 \(H\)"):
            column(H, K, s, d, (top, bottom))
        return
    window = column(H, K, s, d, (top, bottom))
    P = window.out[0]
    assert s * (P - 1) + span(K, d) <= H + top + bottom < s * P + span(K, d)
    assert window.far_pad[0] <= bottom, "it needs no more than was given"
    assert window.far_pad[0] == bottom - (H + top + bottom - span(K, d)) % s


@given(st.integers(1, 12), one, one, one, st.data())
def test_rounding_up_adds_a_window_that_starts_inside(
    H: int, K: int, s: int, d: int, data: st.DataObject
) -> None:
    """ceil_mode: a remainder gets a window, unless it would start in the far padding.

    Pads are at most half the kernel, as pooling demands.
    """
    top, bottom = data.draw(st.integers(0, K // 2)), data.draw(st.integers(0, K // 2))
    if span(K, d) > H + top + bottom:
        return
    down = column(H, K, s, d, (top, bottom)).out[0]
    up = column(H, K, s, d, (top, bottom), round_up=True).out[0]
    remainder = (H + top + bottom - span(K, d)) % s
    assert up == down + bool(remainder and s * down < H + top)


@given(st.integers(1, 12), one, one, one)
def test_same_covers_the_image_with_ceil_windows(H: int, K: int, s: int, d: int) -> None:
    """P = ceil(H / s), and the total padding is the least that does it."""
    for word in ("same", "same_lower"):
        window = Window.for_conv("op", (H, 1), (K, 1), (s, 1), word, (d, 1))
        P = -(-H // s)
        total = max(s * (P - 1) + span(K, d) - H, 0)
        assert window.out[0] == P
        assert window.pad[0] == (total // 2 if word == "same" else total - total // 2)


@given(st.integers(1, 8), one, one, one, small, small, st.data())
def test_transposing_and_back_is_the_identity(
    P: int, K: int, s: int, d: int, top: int, bottom: int, data: st.DataObject
) -> None:
    """A window for_transpose is, read the other way, the window for_conv of its image."""
    extra = data.draw(st.integers(0, s - 1))
    H = s * (P - 1) + span(K, d) - top - bottom + extra
    if H < 1:
        return
    options: Any = {"stride": (s, 1), "padding": ((top, bottom), (0, 0)), "dilation": (d, 1)}
    window = Window.for_transpose("op", (P, 1), (K, 1), output_padding=(extra, 0), **options)
    assert window.image == (H, 1)
    assert window == Window.for_conv("op", (H, 1), (K, 1), **options)


@given(st.integers(1, 8), one, one, one, st.sampled_from(["same", "same_lower", "valid"]))
def test_words_transpose_and_back(P: int, K: int, s: int, d: int, word: str) -> None:
    window = Window.for_transpose("op", (P, 1), (K, 1), (s, 1), word, dilation=(d, 1))
    back = Window.for_conv("op", window.image, (K, 1), (s, 1), word, (d, 1))
    assert back.out == (P, 1)
    if window.far_pad[0] >= 0 or word != "valid":
        assert back.pad == window.pad


def test_windows_are_values() -> None:
    window = Window((5, 6), (3, 4), (3, 3))
    assert window == Window((5, 6), (3, 4), (3, 3)) and hash(window) == hash(window.grouped(1))
    assert window.grouped(2) != window and window.grouped(2).groups == 2
    assert list(Window((2, 2), (1, 1), (2, 2)).taps()) == [(0, 0), (0, 1), (1, 0), (1, 1)]
