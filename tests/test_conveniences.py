"""What users of PyTorch reach for at once: comparing, creating, copying, looping, other dtypes."""

import warnings
from typing import Any, cast

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional as F

X = [[1.0, 5.0, 3.0], [4.0, 2.0, 6.0]]


def test_comparisons_are_those_of_the_numbers() -> None:
    x, other = mf.tensor(X), mf.tensor([3.0, 2.0, 6.0])
    for name in ("lt", "le", "gt", "ge", "eq", "ne"):
        compare = getattr(F, name)
        found = compare(x, other)
        assert found.dtype == np.bool_ and not found.requires_grad
        method = getattr(x, f"__{name}__")
        assert found.tolist() == method(other).tolist()
        for i, row in enumerate(X):
            for j, value in enumerate(row):
                beside = [3.0, 2.0, 6.0][j]
                assert found.tolist()[i][j] == getattr(value, f"__{name}__")(beside)
                assert method(3).tolist()[i][j] == getattr(value, f"__{name}__")(3.0)
    assert (3 < x).tolist() == (x > 3).tolist()


def test_nan_is_unlike_itself() -> None:
    nan = mf.tensor(float("nan"))
    assert not bool(nan == nan) and bool(nan != nan)


def test_a_tensor_is_unlike_what_is_no_number() -> None:
    x = mf.tensor([1.0])
    assert (x == "a") is False and (x != None) is True  # noqa: E711


def test_tensors_still_live_in_sets_and_dicts() -> None:
    x, y = mf.tensor([1.0, 2.0]), mf.tensor([1.0, 2.0])
    assert len({x, y, x}) == 2 and {x: "x", y: "y"}[y] == "y"


def test_bools_join() -> None:
    a, b = mf.tensor([True, True, False]), mf.tensor([True, False, False])
    assert (a & b).tolist() == [True, False, False]
    assert (a | b).tolist() == [True, True, False]
    assert (~a).tolist() == [False, False, True]
    assert a.any().item() and not a.all().item()
    with pytest.raises(TypeError, match="logical_and: dtype of b is float32, expected bool"):
        _ = a & mf.tensor([1.0, 1.0, 1.0])


def test_comparing_what_does_not_fit() -> None:
    with pytest.raises(mf.ShapeError, match=r"gt: axis -1 of b is 2, but axis -1 of a is 3"):
        _ = mf.tensor(X) > mf.tensor([1.0, 2.0])
    with pytest.raises(TypeError, match="lt: dtype of b is float64, but dtype of a is float32"):
        _ = mf.tensor(X) < mf.tensor(np.zeros(3))


def test_the_truth_of_many_is_asked_for_by_any_or_all() -> None:
    with pytest.raises(ValueError, match=r"bool: shape is \(2, 3\), expected one element; use"):
        bool(mf.tensor(X) > 0)


def test_a_loop_over_rows_and_none_over_a_number() -> None:
    assert [row.tolist() for row in mf.tensor(X)] == X
    with pytest.raises(TypeError, match="no axes"):
        list(mf.tensor(1.0))


def test_format_of_a_number() -> None:
    assert f"{mf.tensor(1.25):.1f}" == "1.2" and f"{mf.tensor(1.0)}" == repr(mf.tensor(1.0))


def test_both_libraries_names_of_an_axis() -> None:
    x = mf.tensor(X)
    for name in ("sum", "mean", "var", "amax", "amin", "argmax", "argmin"):
        of_torch = getattr(x, name)(dim=1, keepdim=True)
        of_numpy = getattr(x, name)(axis=1, keepdims=True)
        assert of_torch.shape == (2, 1) and of_torch.tolist() == of_numpy.tolist()
        assert getattr(F, name)(x, dim=1, keepdim=True).tolist() == of_numpy.tolist()
    with pytest.raises(TypeError, match="sum: got dims, expected dim and keepdim"):
        x.sum(dims=1)


def test_axes_of_one_come_and_go() -> None:
    x = mf.tensor(X)
    assert x.unsqueeze(1).shape == (2, 1, 3) and x.unsqueeze(-1).shape == (2, 3, 1)
    assert x.unsqueeze(0).squeeze().shape == x.unsqueeze(0).squeeze(0).shape == (2, 3)
    assert x.squeeze(1).shape == (2, 3)
    with pytest.raises(mf.ShapeError, match="unsqueeze: dim is 3, expected -3 to 2"):
        x.unsqueeze(3)


def test_a_clone_has_its_own_memory_and_passes_the_gradient() -> None:
    x = mf.tensor(X, requires_grad=True)
    y = x.clone()
    assert not np.shares_memory(x.data, y.data)
    (y * y).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[2 * v for v in row] for row in X]
    labels = mf.tensor([1, 2])
    assert labels.clone().dtype == np.int64 and labels.clone() is not labels


def test_a_gradient_can_be_zeroed_in_place() -> None:
    x = mf.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(2):
        (x * 3.0).sum().backward()
        assert x.grad is not None and x.grad.tolist() == [3.0, 3.0]
        x.grad.zero_()
    assert x.grad is not None and x.grad.fill_(2.5).tolist() == [2.5, 2.5]


def test_to_takes_a_device_or_a_dtype() -> None:
    x = mf.tensor(X, requires_grad=True)
    assert x.to("cpu") is x and x.cpu() is x
    y = x.to(mf.float64)
    assert y.dtype == np.float64 and y.requires_grad
    assert x.long().dtype == np.int64
    with pytest.raises(TypeError, match="expected a float, int or bool type"):
        x.to("gpu")


@pytest.mark.parametrize("make", [mf.zeros, mf.ones])
def test_constants(make) -> None:
    value = 0.0 if make is mf.zeros else 1.0
    for made in (make(2, 3), make((2, 3)), make([2, 3], dtype="float64", requires_grad=True)):
        assert made.tolist() == [[value] * 3] * 2
    assert make(2).dtype == np.float32 and make().shape == () and make(0, 2).shape == (0, 2)
    assert make(2, requires_grad=True).requires_grad
    with pytest.raises(mf.ShapeError, match=rf"{make.__name__}: shape\[1\] is -1, expected"):
        make(2, -1)


def test_full_and_its_like() -> None:
    assert mf.full((2,), 0.5).dtype == np.float32 and mf.full(2, 7).tolist() == [7, 7]
    like = mf.full_like(mf.tensor(np.zeros((2, 1))), 3)
    assert like.tolist() == [[3.0], [3.0]] and like.dtype == np.float64


@pytest.mark.parametrize("bounds", [(4,), (1, 4), (1, 8, 3), (4, 1, -1), (0.0, 1.0, 0.25), (3, 3)])
def test_a_ramp(bounds) -> None:
    ramp = mf.arange(*bounds)
    start, end, step = (0, *bounds, 1) if len(bounds) == 1 else (*bounds, 1)[:3]
    expected = []
    while (start < end) if step > 0 else (start > end):
        expected.append(start)
        start += step
    assert ramp.tolist() == expected
    assert ramp.dtype == (np.float32 if isinstance(bounds[0], float) else np.int64)


def test_random_numbers_come_from_a_generator() -> None:
    a, b = (mf.randn(3, 4, generator=np.random.default_rng(1)) for _ in range(2))
    assert a.tolist() == b.tolist() and a.dtype == np.float32
    even = mf.rand((1000,), generator=np.random.default_rng(1), dtype="float64")
    assert even.min().item() >= 0 and even.max().item() < 1 and even.dtype == np.float64
    for make in (mf.rand, mf.randn):
        with pytest.raises(TypeError, match=f"{make.__name__}: generator is a NoneType, expected"):
            make(2, 2)


@pytest.mark.parametrize(
    "call",
    [lambda i: i / 2, lambda i: i * 0.5, lambda i: 0.5 + i, lambda i: i - 0.5, lambda i: i / i,
     lambda i: 2 / i, lambda i: i**0.5, lambda i: i**-1, lambda i: i.mean()],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.int32])
def test_fractions_of_whole_numbers_are_float32(call, dtype) -> None:
    """They were float64, which no float32 weight could meet: photo / 255 failed in conv2d."""
    whole = np.array([1, 2, 3])
    found = call(mf.tensor(whole.astype(dtype)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.numpy(), call(whole.astype(np.float64)), rtol=1e-6)


@pytest.mark.parametrize(
    "call",
    [lambda x, i: x * i, lambda x, i: i / x, lambda x, i: x @ i, lambda x, i: F.matmul(i, x),
     lambda x, i: F.cat([i, x]), lambda x, i: F.stack([x, i]), F.maximum, F.minimum,
     lambda x, i: F.where(x > i, x, i), lambda x, i: F.where(x > i, i, x), F.linear, F.prelu],
)  # fmt: skip
def test_whole_numbers_beside_floats_take_their_dtype(call) -> None:
    """Half of these were float64, NumPy's common dtype of float32 and int64."""
    x, i = np.array([[1.5, -2.0], [0.5, 3.0]]), np.array([[1, 2], [3, 4]])
    if call is F.prelu:
        i = i[0]
    found = call(mf.tensor(x, dtype="float32", requires_grad=True), mf.tensor(i))
    assert found.dtype == np.float32 and found.requires_grad
    exact = call(mf.tensor(x), mf.tensor(i.astype(np.float64)))
    np.testing.assert_allclose(found.numpy(), exact.numpy(), rtol=1e-6)


def test_whole_numbers_are_compared_with_fractions() -> None:
    labels = mf.tensor([0, 1, 2])
    assert (labels > 0.5).tolist() == [False, True, True]
    assert (labels == mf.tensor([0.0, 1.5, 2.0])).tolist() == [True, False, True]
    assert (labels < float("inf")).all().item()


def test_whole_numbers_stay_whole() -> None:
    i = mf.tensor([1, 2, 3])
    for found in (i + 1, i - 1, 2 * i, -i, i**2, i * i, i - i):
        assert found.dtype == np.int64


@pytest.mark.parametrize("count", [3, 0])
def test_a_number_that_the_dtype_cannot_hold(count: int, device: str) -> None:
    photo = mf.tensor(np.zeros(count, np.uint8), device=device)
    for call, op in (
        (lambda: photo - 5, "sub"),
        (lambda: photo + 256, "add"),
        (lambda: photo * 300, "mul"),
        (lambda: -photo, "neg"),
    ):
        with pytest.raises(ValueError, match=f"{op}: the number .* does not fit dtype uint8"):
            call()


def test_bools_have_no_difference(device: str) -> None:
    a = mf.tensor([True, False], device=device)
    with pytest.raises(TypeError, match="sub: a and b are bools, expected numbers; convert one"):
        _ = a - a
    assert (a - 1).tolist() == [0, -1]
    assert (a.long() - a).tolist() == [0, 0]


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float16", "float32"])
def test_comparing_with_numbers_beyond_every_dtype(dtype: str, device: str) -> None:
    x = mf.tensor([0, 1], dtype=dtype, device=device)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for large in (2**70, 2**63, 1e30, np.float64(1e300)):
            assert (x < large).tolist() == [True, True]
            assert (x > -large).tolist() == [True, True]
            assert (x == large).tolist() == [False, False]


@pytest.mark.parametrize(
    ("data", "dtype", "fact"),
    [
        ([[1], [1, 2]], None, "rows of equal length"),
        (["a"], None, "expected float, int or bool"),
        (None, None, "expected float, int or bool"),
        (1j, None, "complex128"),
        ([1.0], "foo", "dtype 'foo'"),
        ([1.0], np.ones(2), "dtype array"),
    ],
)
def test_what_makes_no_tensor(data, dtype, fact) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        mf.tensor(data, dtype)
    assert str(caught.value).startswith("tensor: ") and fact in str(caught.value)


@pytest.mark.parametrize(
    "data", [None, [1.0], 2.0, np.float64(1), mf.tensor(1.0), np.array(["a"]), np.ones(2, complex)]
)
def test_the_class_takes_arrays_of_numbers_only(data) -> None:
    with pytest.raises(TypeError, match=r"Tensor: (data is a|dtype of data is)"):
        mf.Tensor(data)


def test_writing_says_what_does_not_fit() -> None:
    x = mf.tensor(X)
    for key, value in ((0, [1.0, 2.0]), (5, 1.0), ("a", 1.0), (0, "a"), ((0, 0, 0), 1.0)):
        with pytest.raises((IndexError, TypeError, ValueError), match="setitem: cannot write"):
            x[key] = value
    with pytest.raises(RuntimeError, match="setitem: value requires a gradient"):
        x[0] = mf.tensor(1.0, requires_grad=True)


def test_grad_says_which_argument_is_no_tensor() -> None:
    x: Any = mf.tensor([1.0, 2.0], requires_grad=True)
    y, grad = x * 2, cast(Any, mf.grad)  # what mypy would refuse
    with pytest.raises(TypeError, match=r"grad: outputs\[0\] is a NoneType, expected a Tensor"):
        grad(None, x)
    with pytest.raises(TypeError, match=r"grad: inputs\[1\] is a str, expected a Tensor"):
        grad(y, [x, "x"])
    with pytest.raises(TypeError, match=r"grad: grad_outputs\[0\] is a float, expected a Tensor"):
        grad(y, x, 1.0)
    with pytest.raises(TypeError, match=r"grad: value\[0\] is a list, expected a Tensor"):
        x.grad = [[1.0, 2.0]]
    with pytest.raises(
        mf.ShapeError, match=r"grad: the gradient is \(1,\) float32, expected \(2,\)"
    ):
        x.grad = mf.tensor([1.0])


def test_the_functions_are_found_where_torch_has_them() -> None:
    for name in mf._FUNCTIONS:
        assert getattr(mf, name) is getattr(F, name)
    x = mf.tensor(X)
    assert mf.cat([x, x]).shape == (4, 3) and x.matmul(x.T).tolist() == (x @ x.T).tolist()


def test_a_gradient_can_be_asked_for_later() -> None:
    x = mf.tensor(X)
    assert x.requires_grad_() is x and x.requires_grad
    assert not x.requires_grad_(False).requires_grad


@pytest.mark.parametrize("dtype", [">f8", "<f8", ">f4", ">i4"])
def test_the_bytes_of_another_machine(dtype) -> None:
    """Of ">f8" the backward pass said that its gradient did not fit."""
    array = np.arange(16.0).reshape(1, 1, 4, 4).astype(dtype)
    for x in (mf.tensor(array), mf.as_tensor(array), mf.Tensor(array)):
        assert x.dtype.isnative and x.dtype == np.dtype(dtype).newbyteorder("=")
        assert x.tolist() == array.tolist()
    if array.dtype.kind == "f":
        x = mf.tensor(array, requires_grad=True)
        F.conv2d(x, mf.ones(1, 1, 2, 2, dtype=x.dtype), mf.zeros(1, dtype=x.dtype)).sum().backward()
        assert x.grad is not None and x.grad.sum().item() == 36
