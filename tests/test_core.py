"""The core: the reverse walk, its memory, derivatives of any order, and what it refuses.

Oracles are formulas of calculus and loops over one-element tensors.
"""

import gc
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn import Op, ShapeError, Tensor
from minifcn.graph import Node
from minifcn.samples import draw


def leaf(*values: float) -> Tensor:
    return mf.tensor(np.array(values), requires_grad=True)


def grad_of(x: Tensor) -> list[float]:
    assert x.grad is not None
    found: list[float] = x.grad.tolist()
    return found


# ---- the walk ----------------------------------------------------------------------------------


def test_a_chain_of_100_000_operations() -> None:
    """y = x - n/1000 has dy/dx = 1; building, walking and freeing it need no recursion."""
    x = leaf(3.0)
    y = x
    for _ in range(100_000):
        y = y + (-0.001)
    assert y.item() == pytest.approx(3.0 - 100)
    y.backward()
    assert grad_of(x) == [1.0]
    (again,) = mf.grad(y, x, create_graph=True)
    assert again.item() == 1.0
    last = weakref.ref(y)
    del y
    assert last() is None


def test_a_long_chain_that_keeps_arrays() -> None:
    """d/dx of x multiplied n times by 1 + 1/n."""
    n = 20_000
    x = leaf(1.0)
    factor, y = mf.tensor(np.array([1 + 1 / n])), x
    for _ in range(n):
        y = y * factor
    y.backward()
    assert grad_of(x) == [pytest.approx((1 + 1 / n) ** n)]


@pytest.mark.parametrize("a", [-1.5, 0.0, 2.0])
def test_a_tensor_used_twice_gets_both_gradients(a: float) -> None:
    x = leaf(a)
    y = x * 3.0
    (y * y + y).backward()  # d/dx (9x^2 + 3x) = 18x + 3
    assert grad_of(x) == [18 * a + 3]


def test_one_tensor_as_both_inputs() -> None:
    x = leaf(5.0)
    (x * x + x + x).backward()
    assert grad_of(x) == [12.0]


def test_diamonds_upon_diamonds() -> None:
    """30 times y = y + y: 2^30 paths, each node passed once."""
    x = leaf(1.0)
    y = x
    for _ in range(30):
        y = y + y
    y.backward()
    assert grad_of(x) == [2.0**30]


def test_branches_of_unequal_length_meet() -> None:
    x = leaf(2.0)
    long = ((x + 1.0) * 2.0) * (x * 1.0)  # 2x^2 + 2x
    (long + x * x).backward()  # 6x + 2
    assert grad_of(x) == [14.0]


def test_backward_twice_adds_exactly_twice() -> None:
    x = leaf(0.3, -1.7)
    y = (x * x * x).sum()
    y.backward()
    once = np.array(grad_of(x))
    y.backward()
    assert grad_of(x) == (2 * once).tolist()
    assert mf.grad(y, x)[0].tolist() == once.tolist(), "grad() adds to nothing"
    assert grad_of(x) == (2 * once).tolist()


def test_backward_of_two_losses_through_shared_nodes() -> None:
    x = leaf(2.0)
    shared = x * x
    (shared * 3.0).backward()
    (shared * 4.0).backward()
    assert grad_of(x) == [7 * 4.0]


def test_the_upstream_gradient_weighs_the_outputs() -> None:
    x = leaf(1.0, 2.0)
    y = x * x
    y.backward(mf.tensor(np.array([10.0, 100.0])))
    assert grad_of(x) == [20.0, 400.0]


def test_several_outputs_add_up() -> None:
    x = leaf(1.0, 2.0)
    weights = [mf.tensor(np.array([1.0, 0.0])), None]
    (g,) = mf.grad([x * x, (x * 5.0).sum()], x, weights)
    assert g.tolist() == [2 + 5, 5]


def test_gradients_of_two_leaves_are_two_arrays() -> None:
    """Both of a + b get gy; scaling one in place, as clipping does, must not scale the other."""
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (a + b).sum().backward()
    assert a.grad is not None and b.grad is not None
    assert not np.shares_memory(a.grad.data, b.grad.data)
    a.grad.data *= 0.5
    assert grad_of(b) == [1.0, 1.0]


def test_a_gradient_is_no_alias_of_what_the_user_gave() -> None:
    x = leaf(1.0, 2.0)
    gy = mf.tensor(np.array([3.0, 4.0]))
    x.backward(gy)
    assert x.grad is not None
    x.grad.data[0] = 7
    assert gy.tolist() == [3.0, 4.0]


# ---- derivatives of higher order ---------------------------------------------------------------


def test_third_order_of_a_polynomial() -> None:
    """f = x^5: 5x^4, 20x^3, 60x^2, 120x, 120, 0."""
    x = leaf(0.5, -2.0)
    values = np.array(x.tolist())
    y = x**5
    for n, factor in enumerate([5, 20, 60, 120, 120, 0]):
        (y,) = mf.grad(y.sum(), x, create_graph=True, allow_unused=True)
        assert y.tolist() == pytest.approx((factor * values ** max(4 - n, 0)).tolist())


def test_third_order_of_a_quotient() -> None:
    """f = x / y: f_xy = -1/y^2, f_xyy = 2/y^3, f_yyy = -6x/y^4."""
    a, b = 3.0, 2.0
    x, y = leaf(a), leaf(b)
    (f_y,) = mf.grad(x / y, y, create_graph=True)
    f_yx, f_yy = mf.grad(f_y, [x, y], create_graph=True)
    assert (f_yx.item(), f_yy.item()) == pytest.approx((-1 / b**2, 2 * a / b**3))
    (f_yxy,) = mf.grad(f_yx, y)
    (f_yyy,) = mf.grad(f_yy, y)
    assert (f_yxy.item(), f_yyy.item()) == pytest.approx((2 / b**3, -6 * a / b**4))


def test_hessian_of_a_quadratic_form() -> None:
    """f = x'Ax: gradient (A + A')x, Hessian A + A', third derivative 0."""
    a = np.random.default_rng(0).standard_normal((4, 4))
    x = mf.tensor(np.arange(4.0), requires_grad=True)
    ax = (mf.tensor(a) * x).sum(axis=1)
    (g,) = mf.grad((x * ax).sum(), x, create_graph=True)
    assert g.tolist() == pytest.approx(((a + a.T) @ np.arange(4.0)).tolist())
    rows = [mf.grad(g[i], x)[0].tolist() for i in range(4)]
    np.testing.assert_allclose(rows, a + a.T)


def test_without_create_graph_the_gradient_has_no_history() -> None:
    x = leaf(2.0)
    (g,) = mf.grad(x * x, x)
    assert not g.requires_grad
    (g,) = mf.grad(x * x, x, create_graph=True)
    assert g.requires_grad


def test_backward_through_a_gradient() -> None:
    """The usual gradient penalty: d/dx (d(x^3)/dx)^2 = d/dx 9x^4 = 36x^3."""
    x = leaf(2.0)
    (g,) = mf.grad(x**3, x, create_graph=True)
    (g * g).backward()
    assert grad_of(x) == [36 * 8.0]


def test_the_gradient_of_a_gradient_with_respect_to_its_weight() -> None:
    """<u, J'v> is linear in the upstream v: its derivative is J u."""
    x, v = leaf(2.0, 3.0), leaf(1.0, 1.0)
    (g,) = mf.grad(x * x, x, v, create_graph=True)
    (back,) = mf.grad(g, v, mf.tensor(np.array([5.0, 7.0])))
    assert back.tolist() == [4 * 5.0, 6 * 7.0]


# ---- memory ------------------------------------------------------------------------------------


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only reference counts free memory: a cycle would stay."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def nodes() -> int:
    return sum(isinstance(found, Node) for found in gc.get_objects())


@pytest.mark.usefixtures("no_collector")
def test_nodes_and_arrays_go_with_the_loss() -> None:
    before = nodes()
    x = mf.tensor(np.ones((3, 4)), requires_grad=True)
    h = x * x
    kept = weakref.ref(h.data)
    loss = (h * h).sum()
    del h
    assert kept() is not None, "the second product keeps it"
    loss.backward()
    (g,) = mf.grad(loss, x, create_graph=True)
    assert nodes() > before + 3
    del loss, g
    assert kept() is None
    assert nodes() == before + 1, "only the leaf's"


@pytest.mark.usefixtures("no_collector")
def test_a_failed_backward_leaves_nothing() -> None:
    before = nodes()
    x = leaf(1.0)
    y = x * x
    x.data *= 2
    x.written("a test")
    with pytest.raises(mf.VersionError):
        y.backward()
    del y, x
    assert nodes() == before


def test_an_op_keeps_only_what_its_vjp_names() -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    total = x + y  # names nothing
    arrays = weakref.ref(total.data)
    result = total + 1.0
    del total
    assert arrays() is None
    assert result.requires_grad


def test_released_graphs_let_go_and_say_so() -> None:
    x = leaf(1.0, 2.0)
    h = x * 2.0
    kept = weakref.ref(h.data)
    loss = (h * h).sum()
    del h
    loss.backward(retain_graph=False)
    assert kept() is None
    with pytest.raises(ValueError, match="retain_graph=False"):
        loss.backward()


# ---- recording ---------------------------------------------------------------------------------


def test_no_grad_and_enable_grad_nest() -> None:
    x = leaf(1.0)
    with mf.no_grad():
        assert not (x * x).requires_grad
        with mf.enable_grad():
            assert (x * x).requires_grad
        assert not (x * x).requires_grad
    assert (x * x).requires_grad


def test_no_grad_as_a_decorator_recursive_and_after_an_error() -> None:
    x = leaf(1.0)

    @mf.no_grad()
    def depth(n: int) -> bool:
        if n == 0:
            raise KeyError
        return (x * x).requires_grad or depth(n - 1)

    with pytest.raises(KeyError):
        depth(3)
    assert (x * x).requires_grad


def test_detach_shares_values_but_no_history() -> None:
    x = leaf(2.0)
    d = (x * x).detach()
    assert d.item() == 4.0 and not d.requires_grad and d.is_leaf
    (x * d).backward()
    assert grad_of(x) == [4.0]
    assert np.shares_memory(x.detach().data, x.data)


def test_retain_grad_keeps_the_gradient_of_a_middle_tensor() -> None:
    x = leaf(3.0)
    h = x * x
    h.retain_grad()
    other = h * 1.0
    (other * 2.0).backward()
    assert grad_of(h) == [2.0] and grad_of(x) == [12.0]
    assert other.grad is None


def test_constants_get_no_gradient() -> None:
    x, c = leaf(1.0), mf.tensor(np.array([2.0]))
    (x * c).backward()
    assert c.grad is None and not c.requires_grad


def test_grad_of_a_middle_tensor() -> None:
    x = leaf(3.0)
    h = x * x
    y = h * h
    g_h, g_x = mf.grad(y, [h, x])
    assert (g_h.item(), g_x.item()) == (18.0, 108.0)


def test_allow_unused() -> None:
    x, other = leaf(1.0), leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"grad.*input 1.*allow_unused"):
        mf.grad(x * x, [x, other])
    _, zero = mf.grad(x * x, [x, other], allow_unused=True)
    assert zero.tolist() == [0.0, 0.0]


# ---- writing in place --------------------------------------------------------------------------


def write(x: Tensor, values: Any) -> None:
    with mf.no_grad():
        x[...] = values


def test_a_changed_input_is_named_with_its_writer() -> None:
    x, w = leaf(1.0), leaf(2.0)
    y = x * w
    write(w, 5.0)
    with pytest.raises(mf.VersionError) as caught:
        y.backward()
    text = str(caught.value)
    assert "mul" in text and " b " in text and "(1,)" in text, "the op, its input, the shape"
    assert "an assignment" in text and "test_core.py:" in text, "who wrote, and where"


def test_what_no_vjp_kept_may_change() -> None:
    x = leaf(1.0)
    y = x + x
    write(x, 5.0)
    y.backward()
    assert grad_of(x) == [2.0]


@pytest.mark.parametrize("view", ["reshape", "permute", "broadcast", "detach"])
def test_views_share_their_version(view: str) -> None:
    x = mf.tensor(np.ones((2, 3)), requires_grad=True)
    seen = {
        "reshape": lambda: x.reshape(3, 2),
        "permute": lambda: x.permute(1, 0),
        "broadcast": lambda: x.broadcast_to((4, 2, 3)),
        "detach": lambda: x.detach(),
    }[view]()
    y = (seen * x.sum()).sum()
    write(x, 2.0)
    with pytest.raises(mf.VersionError):
        y.backward()


def test_writing_through_a_detached_view_is_noticed() -> None:
    x = leaf(1.0, 2.0)
    y = x * x
    x.detach()[0] = 9.0
    with pytest.raises(mf.VersionError):
        y.sum().backward()


def test_a_recorded_tensor_refuses_assignment() -> None:
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="no_grad"):
        x[0] = 2.0


# ---- what it refuses ---------------------------------------------------------------------------


def test_mixed_dtypes_name_both() -> None:
    x = mf.tensor(np.ones(2, np.float32))
    y = mf.tensor(np.ones(2, np.float64))
    with pytest.raises(TypeError) as caught:
        x * y
    text = str(caught.value)
    assert "mul" in text and "float32" in text and "float64" in text
    assert " a " in text and " b " in text, "what the operator calls them"


def test_backward_of_many_elements_needs_weights() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(ShapeError, match=r"backward.*\(2,\)"):
        (x * x).backward()
    with pytest.raises(ShapeError, match=r"\(3,\).*\(2,\)"):
        (x * x).backward(mf.tensor(np.ones(3)))


def test_backward_without_a_graph() -> None:
    with pytest.raises(ValueError, match="no input requires a gradient"):
        mf.tensor(np.ones(1)).backward()
    with pytest.raises(ValueError, match="input 0 does not require"):
        mf.grad(leaf(1.0) * 2.0, mf.tensor(np.ones(1)))


def test_only_floating_leaves_require_gradients() -> None:
    with pytest.raises(TypeError, match="int64"):
        mf.tensor([1, 2], requires_grad=True)
    x = leaf(1.0)
    y = x * x
    with pytest.raises(ValueError, match=r"mul.*detach"):
        y.requires_grad = False


def test_a_gradient_of_another_shape_cannot_be_set() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(ShapeError, match=r"\(3,\).*\(2,\)"):
        x.grad = mf.tensor(np.ones(3))


# ---- operators of one's own --------------------------------------------------------------------


@pytest.fixture
def registry() -> Iterator[None]:
    """Operators that a test declares are forgotten afterwards."""
    before = dict(Op.registry)
    yield
    Op.registry.clear()
    Op.registry.update(before)


@pytest.mark.usefixtures("registry")
def test_declaring_an_op_registers_it_and_it_works() -> None:
    @dataclass(frozen=True)
    class CubeRoot(Op):
        def shape(self, x: tuple[int, ...]) -> tuple[int, ...]:
            return x

        def forward(self, k: Any, x: Any) -> Any:
            return np.cbrt(x)

        def vjp(self, gy: Tensor, y: Tensor) -> tuple[Tensor]:
            return (gy / (y * y * 3.0),)

        @staticmethod
        def samples() -> Iterator[Any]:
            yield CubeRoot(), draw("2 3")

    assert Op.registry["cube_root"] is CubeRoot
    x = leaf(8.0)
    y = CubeRoot()(x)
    (g,) = mf.grad(y, x, create_graph=True)
    (h,) = mf.grad(g, x)  # x^(1/3): 1/3 x^(-2/3), then -2/9 x^(-5/3)
    assert (y.item(), g.item(), h.item()) == pytest.approx((2, 1 / 12, -2 / 9 / 32))


@pytest.mark.usefixtures("registry")
def test_a_forward_may_end_in_numpys_sum_which_is_no_array() -> None:
    @dataclass(frozen=True)
    class SumOfSquares(Op):
        def shape(self, x: tuple[int, ...]) -> tuple[int, ...]:
            return ()

        def forward(self, k: Any, x: Any) -> Any:
            return (x * x).sum()

        def vjp(self, gy: Tensor, x: Tensor) -> tuple[Tensor]:
            return (gy * x * 2.0,)

        @staticmethod
        def samples() -> Iterator[Any]:
            yield SumOfSquares(), draw("2 3")

    x = leaf(1.0, -2.0)
    y = SumOfSquares()(x) * 3.0
    y.backward()
    assert (y.item(), grad_of(x)) == (15.0, [6.0, -12.0])


@pytest.mark.usefixtures("registry")
def test_an_op_of_ones_own_hides_none_of_ours() -> None:
    ours = Op.registry["mul"]

    class Mul(Op):
        def forward(self, k: Any, x: Any) -> Any:
            return x

        def vjp(self, gy: Tensor) -> tuple[Tensor]:
            return (gy,)

    assert Op.registry["mul"] is ours
    assert Mul in Op.registry.values()


@pytest.mark.usefixtures("registry")
def test_a_vjp_that_names_the_unknown_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"AsksForMore\.vjp.*'weight'.*x, y"):

        class AsksForMore(Op):
            def forward(self, k: Any, x: Any) -> Any:
                return x

            def vjp(self, gy: Tensor, weight: Tensor) -> tuple[Tensor]:
                return (gy * weight,)

    assert "asks_for_more" not in Op.registry


def test_an_input_called_y_is_not_taken_for_the_result() -> None:
    with pytest.raises(TypeError, match=r"Product: 'y' stands for two arrays"):

        class Product(Op):
            def forward(self, k: Any, x: Any, y: Any) -> Any:
                return k.multiply(x, y)

            def vjp(self, gy: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
                return gy * y, gy * x

    assert "product" not in Op.registry


def broken(*gradients: Any) -> Op:
    """y = a + b with whatever gradients are given."""

    class Broken(Op):
        def shape(self, a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
            return a

        def forward(self, k: Any, a: Any, b: Any) -> Any:
            return a + b

        def vjp(self, gy: Tensor) -> tuple[Any, ...]:
            return gradients

    return Broken()


@pytest.mark.usefixtures("registry")
def test_a_vjp_must_give_one_gradient_per_input() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(TypeError, match=r"broken.*1 gradients for 2 inputs"):
        broken(mf.tensor(np.ones(2)))(x, x).sum().backward()


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("wrong", "said"),
    [(np.ones((1, 2)), r"\(1, 2\)"), (np.ones(2, np.float32), "float32")],
)
def test_a_gradient_of_wrong_shape_or_dtype_is_refused(wrong: Any, said: str) -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(ShapeError, match=rf"broken.*input 1.*{said}.*\(2,\) float64"):
        broken(None, mf.tensor(wrong))(x, x).sum().backward()


@pytest.mark.usefixtures("registry")
def test_an_op_whose_extras_are_missing_is_told() -> None:
    class Forgetful(Op):
        extras = ("mask",)

        def shape(self, x: tuple[int, ...]) -> tuple[int, ...]:
            return x

        def forward(self, k: Any, x: Any) -> Any:
            return x * 2

        def vjp(self, gy: Tensor, mask: Tensor) -> tuple[Tensor]:
            return (gy * mask,)

    with pytest.raises(TypeError, match=r"forgetful.*mask"):
        Forgetful()(leaf(1.0))


# ---- numbers beside tensors ---------------------------------------------------------------------


SCALARS = [2, 2.0, True, np.float64(2), np.float32(2), np.sqrt(4.0), np.int64(2)]


@pytest.mark.parametrize("scalar", SCALARS, ids=lambda s: f"{type(s).__name__} {s}")
def test_scalars_do_not_widen_single_precision(scalar: Any) -> None:
    """x / np.sqrt(2) stays float32, as with a Python number."""
    x = mf.tensor([1.0, 3.0], requires_grad=True)
    c, v = float(scalar), np.array([1.0, 3.0])
    results = {
        "x + c": (x + scalar, v + c),
        "c + x": (scalar + x, c + v),
        "x - c": (x - scalar, v - c),
        "c - x": (scalar - x, c - v),
        "x c": (x * scalar, v * c),
        "c x": (scalar * x, c * v),
        "x / c": (x / scalar, v / c),
        "c / x": (scalar / x, c / v),
        "x ** c": (x**scalar, v**c),
    }
    for name, (got, expected) in results.items():
        assert got.dtype == np.float32, name
        assert got.tolist() == pytest.approx(expected.tolist()), name
        assert got.requires_grad, name


def test_whole_number_tensors_take_the_floating_dtype() -> None:
    x = mf.tensor([1.0, 3.0], requires_grad=True)
    n = mf.tensor([2, 4])
    for got, expected in (
        (x * n, [2, 12]),
        (n * x, [2, 12]),
        (n - x, [1, 1]),
        (x / n, [0.5, 0.75]),
    ):
        assert got.dtype == np.float32 and got.tolist() == expected and got.requires_grad
    assert (n * 3).dtype == np.int64 and (n + n).dtype == np.int64


def test_plain_arrays_are_operands_on_either_side() -> None:
    x, a = leaf(1.0, 2.0), np.array([3.0, 4.0])
    for got, expected in ((x * a, [3, 8]), (a * x, [3, 8]), (a - x, [2, 2]), (a / x, [3, 2])):
        assert isinstance(got, Tensor) and got.tolist() == expected and got.requires_grad
