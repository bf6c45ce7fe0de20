"""Casts: 16 bytes at a time where addresses allow, many arrays in a launch; the same numbers."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import minifcn as mf
from minifcn import nn
from minifcn.kernels import cupy_kernels, numpy_kernels, reference
from minifcn.kernels.cupy_kernels import launch
from minifcn.modes import mode
from tests.cuda_emu.find import Cuda
from tests.devices import host, on

K: Any = cupy_kernels
DTYPES = ["float64", "float32", "float16", "int8", "int64", "uint16", "bool"]
SHAPES = [(), (0,), (1,), (3,), (17, 5), (2, 3, 4, 5), (4096,), (4099,)]


def drawn(shape: Any, dtype: str, seed: int = 0) -> Any:
    values = np.random.default_rng(seed).uniform(0, 100, shape)
    return np.asarray(values).astype(dtype)


@pytest.mark.parametrize("to", DTYPES)
@pytest.mark.parametrize("given", DTYPES)
def test_every_type_becomes_every_other(cuda: Cuda, given: str, to: str) -> None:
    arrays = [drawn(shape, given, len(shape)) for shape in SHAPES]
    there = [on("cuda", a) for a in arrays]
    for got, single, a in zip(K.casts(there, to), map(one_of(to), there), arrays, strict=True):
        for y in (got, single):
            assert (y.shape, y.dtype) == (a.shape, np.dtype(to))
            np.testing.assert_array_equal(host(y), a.astype(to))


def one_of(dtype: str) -> Any:
    return lambda x: K.cast(x, dtype)


@pytest.mark.parametrize("dtypes", [("float32", "float16"), ("float16", "float32"), ("int8", "f8")])
@pytest.mark.parametrize("start", range(5))
def test_rows_may_begin_anywhere(cuda: Cuda, dtypes: Any, start: int) -> None:
    """Beyond the first element of an allocation no wide load fits, unless it is at 16 bytes."""
    given, to = (np.dtype(one).name for one in dtypes)
    room = drawn((60,), given)
    x = on("cuda", room)[start : start + 41]
    for y in (K.cast(x, to), *K.casts([x], to)):
        np.testing.assert_array_equal(host(y), room[start : start + 41].astype(to))


def test_halves_round_and_overflow_as_those_of_the_host(cuda: Cuda) -> None:
    wild = np.array([1e5, -1e5, np.inf, np.nan, 65519.9, 65520, 2.0**-25, -(2.0**-24), 0.1], "f4")
    wild = np.concatenate([wild, drawn((100,), "float32") * 1e-4])
    for to in (np.float16, ml_dtypes.bfloat16):
        name = np.dtype(to).name
        with np.errstate(all="ignore"):
            expected = wild.astype(to).tobytes()
        for y in (K.cast(on("cuda", wild), name), *K.casts([on("cuda", wild)], name)):
            same = host(y).astype("f4")
            np.testing.assert_array_equal(same, np.frombuffer(expected, to).astype("f4"))


def test_many_arrays_of_several_types_in_every_order(cuda: Cuda) -> None:
    arrays = [drawn(SHAPES[n % len(SHAPES)], ("f4", "f4", "f8")[n % 3], n) for n in range(150)]
    arrays[5] = arrays[5].transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    arrays[4] = arrays[4][::-2, ::-1]
    for got, loops, fast, a in zip(
        K.casts([on("cuda", a) for a in arrays], "float16"),
        reference.casts(arrays, "float16"),
        numpy_kernels.casts(arrays, "float16"),
        arrays,
        strict=True,
    ):
        np.testing.assert_array_equal(host(got), a.astype("f4").astype("f2"))  # by way of float
        for y in (loops, fast):
            np.testing.assert_array_equal(y, a.astype("f2"))


# ---- the parameters of a step --------------------------------------------------------------------


def network() -> nn.Sequential:
    rng = np.random.default_rng(0)
    net = nn.Sequential(
        nn.Conv2d(8, 8, 3, bias=False, generator=rng),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 4, 2, bias=False, generator=rng),
    )
    net.to("cuda")
    return net


def run(model: Any, known: list[Any], written: bool = False) -> tuple[list[Any], list[str]]:
    """The output and the gradients of a step in float16, and the kernels of cast.cu."""
    kernels: list[str] = []
    call = launch.Program.__call__

    def noted(self: Any, kernel: str, grid: Any, *rest: Any, **options: Any) -> None:
        kernels.extend([kernel] * (self.file == "cast" and grid != 0))
        call(self, kernel, grid, *rest, **options)

    x = mf.tensor(drawn((2, 8, 5, 5), "float16"), device="cuda")
    for p in model.parameters():
        p.grad = None
    with pytest.MonkeyPatch.context() as patch, mf.autocast("float16"):
        patch.setattr(launch.Program, "__call__", noted)
        mode.autocast.prepare(known)
        if written:
            with mf.no_grad():
                known[0].fill_(0.5)
        y = model(x)
        known[:] = [one.source for one in mode.autocast.parameters.values()]
    y.sum().backward()
    return [y.numpy(), *(p.grad.numpy() for p in model.parameters())], kernels


def test_parameters_are_cast_in_one_launch_with_the_same_result(cuda: Cuda) -> None:
    model, known = network(), list[Any]()
    alone, one_by_one = run(model, known)
    assert one_by_one == ["cast"] * 2
    assert {id(p) for p in known} == {id(p) for p in model.parameters()}
    together, at_once = run(model, known)
    assert at_once == ["casts"]
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_parameter_written_after_the_cast_is_cast_anew(cuda: Cuda) -> None:
    model, known = network(), list[Any]()
    run(model, known)
    late, kernels = run(model, known, written=True)
    assert kernels == ["casts", "cast"]
    for a, b in zip(late, run(model, [])[0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_not_used_any_more_is_forgotten(cuda: Cuda) -> None:
    model, known = network(), list[Any]()
    run(model, known)
    only = nn.Sequential(next(iter(model)))
    run(only, known)
    assert {id(p) for p in known} == {id(p) for p in only.parameters()}
    known.append(mf.nn.Parameter(np.ones(3, np.float64)))
    known.append(mf.nn.Parameter(np.ones(3, np.float32)))  # on the host
    assert run(only, known)[1] == ["casts"]
