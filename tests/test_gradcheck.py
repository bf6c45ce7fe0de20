"""mf.gradcheck finds what is planted, passes what is right, leaves no trace, and says why.

Every fault is planted in an operator of known derivative; the expected verdict follows from the
fault, not from what gradcheck printed. tests/test_verdicts.py judges the words on bare arrays.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F
from minifcn import GradientError, Op, Tensor
from minifcn.checks import PrecisionWarning
from minifcn.device import of
from tests.devices import host, on

rng = np.random.default_rng(42)
A, B = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))


@pytest.fixture(autouse=True)
def on_every_device(device: str) -> Iterator[None]:
    """Every test of this file runs once per device: arrays become tensors there."""
    with mf.device(device):
        yield


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Operators that a test declares are forgotten afterwards."""
    before = dict(Op.registry)
    yield
    Op.registry.clear()
    Op.registry.update(before)


def faulty(gradient: Callable[..., Any], function: Callable[[Any], Any] = np.square) -> Op:
    """y = function(x) with the vjp  gx = gradient(gy, x), right or wrong."""

    class Faulty(Op):
        def shape(self, x: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(function(np.zeros(x)).shape)

        def forward(self, k: Any, x: Any) -> Any:
            return on(of(x), np.asarray(function(host(x))))

        def vjp(self, gy: Tensor, x: Tensor) -> tuple[Any]:
            return (gradient(gy, x),)

    return Faulty()


def failure(fn: Callable[..., Any], inputs: Any, **options: Any) -> GradientError:
    with pytest.raises(GradientError) as caught:
        mf.gradcheck(fn, inputs, **options)
    return caught.value


# ---- right gradients pass ----------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["full", "fast"])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    "fn",
    [
        lambda x, y: x * y,
        lambda x, y: x / (y * y + 1.0),
        lambda x, y: (x - y) ** 3,
        lambda x, y: (x.sum(axis=0) * y).mean(axis=1),
        lambda x, y: x.reshape(4, 3) @ y,
    ],
)
def test_right_gradients_pass(fn: Any, order: int, mode: str) -> None:
    assert mf.gradcheck(fn, [A, B], order=order, mode=mode)


def test_the_options_are_checked() -> None:
    for wrong in ({"order": 3}, {"mode": "slow"}, {"kinks": "ignore"}):
        ((name, value),) = wrong.items()
        with pytest.raises(ValueError, match=f"gradcheck.*{name}.*{value}"):
            mf.gradcheck(lambda x: x, [A], **wrong)


@pytest.mark.parametrize("wrong", [{"eps": 0.0}, {"eps": -1e-6}, {"atol": -1.0}, {"rtol": np.nan}])
def test_tolerances_that_mean_nothing_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"gradcheck.*{next(iter(wrong))}"):
        mf.gradcheck(lambda x: x * x, [A], **wrong)


def test_identities_and_constants_pass() -> None:
    assert mf.gradcheck(lambda x: x, [A], order=2)
    assert mf.gradcheck(lambda x, y: (x, y, x), [A, B], order=2)
    assert mf.gradcheck(lambda x: mf.tensor(B), [A], order=2)


def test_something_must_be_differentiable() -> None:
    with pytest.raises(TypeError, match="no floating tensor"):
        mf.gradcheck(lambda x: x.argmax(axis=0), [A])
    with pytest.raises(ValueError, match="no floating input"):
        mf.gradcheck(lambda k: k, [np.arange(3)])
    with pytest.raises(TypeError, match="returned a float"):
        mf.gradcheck(lambda x: 1.0, [A])


# ---- planted faults ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gradient", "said"),
    [
        (lambda gy, x: gy * x * -2.0, "sign"),
        (lambda gy, x: gy * x, "off by a factor 1/2"),
        (lambda gy, x: gy * x * 6.0, "off by a factor 3"),
        (lambda gy, x: (gy * x * 2.0).detach() * 0.0, "detached"),
        (lambda gy, x: x * 2.0, "upstream gradient is ignored"),
        (lambda gy, x: (gy * x * 2.0).permute(1, 0).reshape(3, 4), "transposed: axes 0, 1"),
        (lambda gy, x: (gy * x * 2.0)[::-1], "mirrored along axis 0"),
        (lambda gy, x: gy * x * 2.0 - gy, "a term is missing.*multiple of the upstream gradient"),
        (lambda gy, x: gy * x * 2.0 + 5.0, "a term is missing.*constant"),
        (lambda gy, x: gy * x * x, "no simple pattern"),
        (lambda gy, x: gy * x * float("nan"), "nan"),
    ],
)
@pytest.mark.parametrize("mode", ["full", "fast"])
def test_a_planted_fault_is_named(gradient: Any, said: str, mode: str) -> None:
    error = failure(faulty(gradient), [A], mode=mode)
    assert said.split(".*")[0] in error.verdict and said.split(".*")[-1] in error.verdict


def test_the_error_carries_the_facts() -> None:
    """y = x^2 with the gradient of one element tripled."""
    mask = np.ones((3, 4))
    mask[1, 2] = 3
    gy = np.random.default_rng(0).standard_normal((3, 4))  # as gradcheck draws it
    error = failure(faulty(lambda g, x: g * x * 2.0 * mf.tensor(mask)), [A])
    expected = float(2 * A[1, 2] * gy[1, 2])
    assert (error.name, error.input, error.index, error.order) == ("faulty", "input 0", (1, 2), 1)
    assert error.numeric == pytest.approx(expected, rel=1e-6)
    assert error.analytic == pytest.approx(3 * expected)
    assert error.absolute == pytest.approx(2 * abs(expected), rel=1e-6)
    assert error.relative == pytest.approx(2 / 3, rel=1e-6)
    text = str(error)
    for fact in ("faulty", "input 0", "(1, 2)", f"{error.analytic:.9g}", f"{error.numeric:.9g}"):
        assert fact in text
    assert not text.endswith(".")


def test_inputs_are_called_what_the_function_calls_them() -> None:
    wrong = faulty(lambda gy, x: gy * x)

    def blend(image: Tensor, weight: Tensor) -> Tensor:
        return image * 3.0 + wrong(weight)

    error = failure(blend, [A, B])
    assert (error.name, error.input) == ("blend", "weight")


def test_one_wrong_element_among_many_is_found() -> None:
    """10,000 elements; the fast check finds it by halving."""
    mask = np.ones(10_000)
    mask[7_654] = 0
    wrong = faulty(lambda gy, x: gy * mf.tensor(mask) * 2.0, lambda x: 2 * x)
    error = failure(wrong, [np.ones(10_000)], mode="fast")
    assert error.index == (7_654,)
    assert "zero" in error.verdict


def test_a_fault_of_second_order_only() -> None:
    """The gradient's value is right, but it was computed outside the graph."""
    outside = faulty(lambda gy, x: gy * (x.detach() * 2.0))
    assert mf.gradcheck(outside, [A])
    error = failure(outside, [A], order=2)
    assert error.order == 2 and "detached" in error.verdict and "second derivative" in str(error)
    assert mf.gradgradcheck(faulty(lambda gy, x: gy * x * 2.0), [A])


def test_gradgradcheck_sees_the_upstream_gradient_too() -> None:
    """A vjp that is not linear in gy has the right value nowhere but its derivative tells."""
    cut = faulty(lambda gy, x: Tensor(gy.data) * x * 2.0)
    assert mf.gradcheck(cut, [A])
    assert failure(cut, [A], order=2).input == "upstream gradient 0"


@pytest.mark.parametrize(
    ("given", "axes"),
    [((3, 4), "axis 0"), ((5, 3, 4), "axes 0, 1")],
)
def test_a_missing_sum_is_named(given: tuple[int, ...], axes: str) -> None:
    """y_ij = x_j repeated; its gradient forgot to sum over the repeated axes."""
    unsummed = faulty(lambda gy, x: gy, lambda x: np.broadcast_to(x, given).copy())
    error = failure(unsummed, [np.ones((1, 4))])
    assert f"missing the sum over {axes}" in error.verdict
    assert str(given) in error.verdict and "(1, 4)" in error.verdict


def test_a_sum_over_one_slice_is_named() -> None:
    """y_nj = x_j repeated 3 times, but only the first of the batch counts."""
    first = faulty(lambda gy, x: gy[0], lambda x: np.stack([x, x, x]))
    verdict = failure(first, [np.arange(4.0)]).verdict
    assert "missing the sum over axis 0 of the output" in verdict


def test_a_mean_for_a_sum_is_named() -> None:
    mean = faulty(lambda gy, x: gy.mean(axis=0), lambda x: np.stack([x] * 5))
    assert "off by a factor 1/5" in failure(mean, [np.arange(4.0)]).verdict


def test_a_gradient_of_transposed_shape_is_named() -> None:
    swapped = faulty(lambda gy, x: (gy * x * 2.0).permute(1, 0))
    assert failure(swapped, [A]).verdict.startswith("transposed")


# ---- kinks -------------------------------------------------------------------------------------


def relu(x: Any) -> Any:
    return np.maximum(x, 0)


right_relu = faulty(lambda gy, x: gy * mf.tensor((x.numpy() > 0).astype(x.dtype)), relu)


def test_a_kink_is_named_with_its_element() -> None:
    x = np.array([1.0, -2.0, 0.0, 3.0])
    error = failure(right_relu, [x])
    assert error.verdict.startswith("kink") and error.index == (2,)
    assert mf.gradcheck(right_relu, [x], kinks="move")
    assert x.tolist() == [1.0, -2.0, 0.0, 3.0], "moved within the check only"


def test_a_kink_within_the_step_is_no_kink() -> None:
    """|x| = 1e-7 is nearer than the step 1e-6; smaller steps settle it."""
    assert mf.gradcheck(right_relu, [np.array([1e-7, -1e-7, 2.0])])
    for mode in ("full", "fast"):  # the step grows with |x|: at 100 it is 1e-4
        assert mf.gradcheck(lambda x: right_relu(x - 100.0), [np.array([100 + 1e-5])], mode=mode)


def test_the_slopes_of_a_kink_are_in_the_units_of_x() -> None:
    error = failure(lambda x: right_relu(x - 1e4), [np.array([1e4])])
    low, high = (float(word.strip(",")) for word in error.verdict.split() if word[-1].isdigit())
    gy = np.random.default_rng(0).standard_normal(1)[0]
    assert sorted((low, high)) == pytest.approx(sorted((0, gy)), rel=1e-5)


def test_a_wrong_gradient_at_a_kink_is_no_excuse() -> None:
    """One-sided slopes of relu are 0 and 1; a gradient of -1 lies not between them."""
    wrong = faulty(lambda gy, x: gy * mf.tensor(np.where(x.numpy() > 0, 1.0, -1.0)), relu)
    error = failure(wrong, [np.array([1.0, 0.0, 3.0])])
    assert not error.verdict.startswith("kink") and error.index == (1,)


def test_a_wrong_gradient_beside_a_kink_is_not_hidden() -> None:
    wrong = faulty(lambda gy, x: gy * mf.tensor((x.numpy() > 0) * 2.0), relu)
    error = failure(wrong, [np.array([1.0, 0.0, 3.0, -1.0])])
    assert "kink" not in error.verdict and error.index in {(0,), (2,)}
    assert "factor 2" in error.verdict


def test_a_tie_of_maxima_is_a_kink() -> None:
    x = np.array([[[[1.0, 1.0], [0.0, -1.0]]]])
    error = failure(lambda x: F.max_pool2d(x, 2), [x])
    assert error.verdict.startswith("kink") and error.index in {(0, 0, 0, 0), (0, 0, 0, 1)}
    assert mf.gradcheck(lambda x: F.max_pool2d(x, 2), [x], kinks="move")


def test_a_jump_is_told_from_a_kink() -> None:
    step = faulty(lambda gy, x: gy * 0.0, lambda x: (x > 0) * 1.0)
    assert failure(step, [np.array([0.0, 1.0])]).verdict.startswith("jump")


def test_a_kink_may_show_in_the_second_order_only() -> None:
    """|x| at 0: gradient 0 is the central difference, but the gradient jumps from -1 to 1."""
    assert mf.gradcheck(lambda x: x.abs(), [np.array([0.0, 1.0])])
    error = failure(lambda x: x.abs(), [np.array([0.0, 1.0])], order=2)
    assert error.verdict.startswith("kink") and (error.order, error.index) == (2, (0,))
    assert mf.gradcheck(lambda x: x.abs(), [np.array([0.0, 1.0])], order=2, kinks="move")


def test_overlapping_ties_are_kinks_whatever_the_upstream() -> None:
    """One pixel may win in one window and lose in another: the slopes are those of each output."""
    x = np.zeros((1, 1, 4, 4))
    for fn in (lambda x: F.max_pool2d(x, 2, 1), lambda x: F.max_pool2d(x, 3, 1, 1)):
        for seed in range(5):
            assert failure(fn, [x], seed=seed).verdict.startswith("kink")
            assert mf.gradcheck(fn, [x], kinks="move", order=2, seed=seed)


def test_leaving_the_domain_is_said() -> None:
    verdict = failure(lambda x: x.log(), [np.array([1.0, 1e-9])]).verdict
    assert verdict.startswith("nan") and "eps" in verdict
    assert "output itself is nan" in failure(lambda x: x.log(), [np.array([1.0, -1.0])]).verdict


# ---- conduct -----------------------------------------------------------------------------------


def test_a_random_function_is_told() -> None:
    noise = np.random.default_rng(1)
    verdict = failure(lambda x: x * mf.tensor(noise.standard_normal(x.shape)), [A]).verdict
    assert "not deterministic" in verdict and "two runs" in verdict


def test_a_random_backward_is_told() -> None:
    noise = np.random.default_rng(1)
    random = faulty(lambda gy, x: gy * x * 2.0 + float(noise.standard_normal()) * 1e-12)
    assert "two backward passes" in failure(random, [A]).verdict


def test_an_input_changed_in_place_is_named_and_restored() -> None:
    def careless(x: Tensor, y: Tensor) -> Tensor:
        with mf.no_grad():
            y[0, 0] = 5.0
        return x * x

    x, y = A.copy(), B.copy()
    error = failure(careless, [x, y])
    assert "changed in place" in error.verdict and error.input == "y"
    assert np.array_equal(y, B)
    leaf = mf.tensor(B, requires_grad=True)
    assert failure(careless, [x, leaf]).input == "y" and np.array_equal(leaf.numpy(), B)


def test_no_trace_is_left() -> None:
    x, y = mf.tensor(A, requires_grad=True), mf.tensor(B.astype(np.float32))
    node, data = x._node, x.data
    with pytest.warns(PrecisionWarning):
        mf.gradcheck(lambda x, y: x.astype(np.float64) * y.astype(np.float64), [x, y], order=2)
    assert x._node is node and x.data is data and x.grad is None
    assert np.array_equal(x.numpy(), A) and y.dtype == np.float32 and not y.requires_grad


# ---- inputs of all kinds -----------------------------------------------------------------------


def test_odd_layouts_and_read_only_inputs() -> None:
    frozen = A[:, ::2].copy()
    frozen.flags.writeable = False
    broadcast = np.broadcast_to(np.ones(2), (3, 2))
    for x in (A[::-1, ::2], A.T[:2].T, frozen, broadcast, np.asfortranarray(A[:, :2])):
        assert mf.gradcheck(lambda x, y: x * y * y, [x, B[:, 1:3]], order=2)


@pytest.mark.parametrize("mode", ["full", "fast"])
def test_nothing_and_scalars(mode: str) -> None:
    assert mf.gradcheck(lambda x: x * x, [np.zeros((0, 3))], order=2, mode=mode)
    assert mf.gradcheck(lambda x: x * x, [np.array(2.0)], order=2, mode=mode)
    assert mf.gradcheck(lambda x: x * 3.0, np.array(2.0), mode=mode), "one input needs no list"


def test_integers_and_other_objects_are_passed_on() -> None:
    target = np.array([0, 3, 1])

    def fn(x: Tensor, target: Any, axes: Any, word: str) -> Tensor:
        assert word == "mean" and axes == (0,)
        return F.cross_entropy(x, mf.as_tensor(target), reduction=word) * x.sum(axis=axes)

    assert mf.gradcheck(fn, [A, target, (0,), "mean"], order=2)


def test_lists_of_tensors_and_several_outputs() -> None:
    def fn(parts: list[Tensor], scale: Tensor) -> dict[str, Any]:
        return {"sum": parts[0] + parts[1], "more": [parts[0] * scale, np_argmax(parts[0])]}

    def np_argmax(x: Tensor) -> Tensor:
        return x.argmax(axis=1)

    assert mf.gradcheck(fn, [[A, B], np.array(2.0)], order=2)


def test_an_ignored_input_has_zero_gradient() -> None:
    assert mf.gradcheck(lambda x, y: x * x, [A, B], order=2)


def test_the_same_tensor_twice() -> None:
    x = mf.tensor(A, requires_grad=True)
    assert mf.gradcheck(lambda x, y: x * y, [x, x], order=2)


def test_what_a_function_closes_over_is_given_as_params() -> None:
    w = mf.tensor(B, requires_grad=True)
    wrong = faulty(lambda gy, x: gy * x)
    assert mf.gradcheck(lambda x: x * wrong(w), [A]), "nobody asked for w"
    error = failure(lambda x: x * wrong(w), [A], params={"weight": w})
    assert error.input == "weight"
    assert failure(lambda x: x * wrong(w), [A], params=[w]).input == "parameter 0"


# ---- precision ---------------------------------------------------------------------------------


def test_float32_inputs_are_checked_in_float64_with_a_warning() -> None:
    with pytest.warns(PrecisionWarning, match="x is float32"):
        assert mf.gradcheck(lambda x: x * x * x, [A.astype(np.float32)], order=2)


def test_a_wrong_gradient_in_float32_has_the_usual_verdict() -> None:
    with pytest.warns(PrecisionWarning), pytest.raises(GradientError) as caught:
        mf.gradcheck(faulty(lambda gy, x: gy * x), [A.astype(np.float32)])
    assert "factor 1/2" in caught.value.verdict


def test_cancellation_in_float32_is_a_matter_of_precision() -> None:
    """gx = (1e9 + x) - 1e9 times gy is right in float64; float32 has no digits left for it."""
    fragile = faulty(lambda gy, x: gy * ((x * 2.0 + 1e9) - 1e9))
    with pytest.warns(PrecisionWarning), pytest.raises(GradientError) as caught:
        mf.gradcheck(fragile, [A.astype(np.float32)], atol=1e-4)
    assert caught.value.verdict.startswith("float32 precision")


def test_float32_inside_a_float64_function_is_named() -> None:
    verdict = failure(lambda x: (x.float() * x.float()).double(), [A]).verdict
    assert verdict.startswith("float32 precision")


def test_a_float32_constant_in_float64_is_explained() -> None:
    c = mf.tensor(A.astype(np.float32))
    with pytest.warns(PrecisionWarning), pytest.raises(TypeError, match="does not run in float64"):
        mf.gradcheck(lambda x: x * c, [B.astype(np.float32)])


@pytest.mark.parametrize("mode", ["full", "fast"])
def test_what_rounding_hides_is_not_called_right(mode: str) -> None:
    """y = x/1000 + 1e9: steps of 1e-6 change nothing, steps of 1 do."""
    assert mf.gradcheck(lambda x: x * x, [1e6 * A], mode=mode)
    error = failure(lambda x: x * 1e-3 + 1e9, [A], mode=mode)
    assert error.verdict.startswith("rounding") and "eps" in error.verdict
    assert mf.gradcheck(lambda x: x * 1e-3 + 1e9, [A], mode=mode, eps=1.0)


# ---- layers and models -------------------------------------------------------------------------


def test_a_layer_brings_its_parameters() -> None:
    nn = pytest.importorskip("minifcn.nn")
    layer = nn.Conv2d(2, 3, 3, padding=1).astype(np.float64)
    x = rng.standard_normal((2, 2, 4, 5))
    assert mf.gradcheck(layer, [x], order=2, mode="fast")
    before = layer.weight.numpy().copy()
    layer.forward = lambda x: F.conv2d(x, faulty(lambda gy, x: gy * x)(layer.weight))
    error = failure(layer, [x])
    assert error.input == "weight" and np.array_equal(layer.weight.numpy(), before)


def test_a_model_in_training_keeps_its_running_statistics() -> None:
    nn = pytest.importorskip("minifcn.nn")
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2))
    model = model.astype(np.float64).train()
    before = {name: b.numpy().copy() for name, b in model.named_buffers()}
    x = rng.standard_normal((2, 2, 6, 7))
    assert mf.gradcheck(model, [x], order=2, mode="fast")
    assert before and all(
        np.array_equal(b.numpy(), before[name]) for name, b in model.named_buffers()
    )


def test_a_float32_model_is_checked_in_float64() -> None:
    nn = pytest.importorskip("minifcn.nn")
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sigmoid())
    with pytest.warns(PrecisionWarning, match="weight is float32"):
        assert mf.gradcheck(model, [rng.standard_normal((2, 1, 5, 4)).astype(np.float32)])
    assert all(p.dtype == np.float32 for p in model.parameters())


# ---- the adjoint and the report ----------------------------------------------------------------


def test_adjoint_check() -> None:
    assert mf.adjoint_check(lambda x: x.permute(1, 0), [A])
    assert mf.adjoint_check(lambda x: x.permute(1, 0), mf.tensor(A))  # a single one needs no list
    assert mf.adjoint_check(F.conv2d, [np.ones((1, 2, 5, 4)), rng.standard_normal((3, 2, 3, 2))])
    wrong = faulty(lambda gy, x: gy * 1.0001, np.copy)
    with pytest.raises(GradientError, match="not the adjoint"):
        mf.adjoint_check(wrong, [A])
    with pytest.raises(GradientError, match="not linear"):
        mf.adjoint_check(lambda x: x * x, [A])
    with pytest.raises(GradientError, match="not linear"):
        mf.adjoint_check(lambda x: x + 1.0, [A])


def test_adjoint_check_of_a_given_pair() -> None:
    m = rng.standard_normal((5, 3))

    def product(x: Tensor) -> Tensor:
        return mf.tensor(m) @ x

    assert mf.adjoint_check(product, [A], lambda y: mf.tensor(m.T) @ y)
    with pytest.raises(GradientError, match="not the adjoint"):
        mf.adjoint_check(product, [A], lambda y: mf.tensor(m.T) @ y * 2.0)


def test_the_report_names_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    from minifcn.checks import run

    assert run(["mul", "conv2d"], order=1)[1]
    vjp = Op.registry["mul"].vjp
    monkeypatch.setattr(
        Op.registry["mul"], "vjp", lambda self, gy, a, b: (lambda: -vjp(self, gy, a, b)[0](), None)
    )
    rows, ok = run(["mul"], order=1)
    assert not ok
    assert [row.finding.verdict.split(" (")[0] for row in rows if row.op == "mul"] == [
        "sign",
        "zero where it should not be",
    ]
    text = mf.gradcheck_report(["mul"], order=1)
    assert "sign" in text and "2 wrong" in text
    with pytest.raises(ValueError, match=r"no operator.*'mull'.*mul"):
        run(["mull"])
