"""A rule that explains the sizes of the traces holds at sizes that were in none of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifcn.interop.onnx.export import GROWTH, TINY
from minifcn.interop.onnx.outward.sizes import Axis, Rule, explain

HEIGHT, WIDTH, HALF = Axis(0, 2), Axis(0, 3), Axis(7, 2)
H = tuple(64 + h for _, h, _ in GROWTH) + tuple(h for _, h, _ in TINY)
W = tuple(64 + w for _, _, w in GROWTH) + tuple(w for _, _, w in TINY)
KNOWN = [(HEIGHT, H), (WIDTH, W), (HALF, tuple(-(-h // 2) for h in H))]
FRESH = [(h, w) for h in (1, 2, 9, 31, 100, 255, 1001) for w in (3, 40, 777)]

small = st.integers(0, 40)
RULES = st.one_of(
    st.builds(Rule, st.sampled_from([HEIGHT, WIDTH]), c=st.integers(-5, 200)),
    st.builds(Rule, st.just(WIDTH), c=st.integers(0, 31), d=st.sampled_from([2, 4, 8, 16, 32])),
    st.builds(Rule, st.just(HEIGHT), m=st.integers(2, 9), c=small),
    st.builds(Rule, st.just(WIDTH), c=small, modulo=st.sampled_from([2, 4, 8, 16, 32])),
    st.builds(Rule, st.just(HEIGHT), m=st.integers(1, 9), other=st.just(WIDTH)),
    st.builds(Rule, st.just(HEIGHT), c=st.integers(12, 63), missing=st.just(True)),
    st.builds(Rule, st.just(HEIGHT), other=st.just(WIDTH), missing=st.just(True)),
)


def value(rule: Rule, h: int, w: int) -> int:
    sizes = {HEIGHT: h, WIDTH: w, HALF: -(-h // 2), None: 0}
    return rule.of(sizes[rule.a], sizes[rule.other])


@given(RULES)
def test_a_rule_is_found_again(rule: Rule) -> None:
    series = tuple(value(rule, h, w) for h, w in zip(H, W, strict=True))
    found = explain(series, KNOWN)
    assert found is not None
    for h, w in FRESH:
        assert value(found, h, w) == value(rule, h, w)


@pytest.mark.parametrize(
    "number",
    [
        lambda h, w: int(h**0.5),
        lambda h, w: h * h * w,
        lambda h, w: h if h > 80 else 7,
        lambda h, w: h % 7,
        lambda h, w: int(h * 0.37),
        lambda h, w: max(h, w),
        lambda h, w: h.bit_length(),
    ],
)
def test_what_is_no_rule_is_not_explained(number) -> None:
    assert explain(tuple(number(h, w) for h, w in zip(H, W, strict=True)), KNOWN) is None
