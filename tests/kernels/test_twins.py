"""The kernel twins export the same names with the same parameters, and no more than they say."""

import importlib
import inspect
import pkgutil
from types import ModuleType

import numpy as np
import pytest

from minifcn.kernels import numpy_kernels, reference


def families(twin: ModuleType) -> dict[str, ModuleType]:
    """Every module of a twin that offers kernels."""
    found = {}
    for info in pkgutil.iter_modules(twin.__path__):
        module = importlib.import_module(f"{twin.__name__}.{info.name}")
        if info.name not in NOT_KERNELS:
            found[info.name] = module
    return found


NOT_KERNELS = {"memory", "threads", "workspace"}  # how the fast twin works; loops need none

NAMES = sorted({n for f in families(reference).values() for n in f.__all__})


def test_both_twins_have_the_same_families() -> None:
    assert set(families(numpy_kernels)) >= {f for f, m in families(reference).items() if m.__all__}


def test_both_twins_export_the_same_names() -> None:
    fast = {n for f in families(numpy_kernels).values() for n in getattr(f, "__all__", ())}
    assert fast == set(NAMES)


@pytest.mark.parametrize("family", families(reference))
def test_a_family_offers_the_same_in_both(family: str) -> None:
    fast = families(numpy_kernels).get(family)
    assert set(fast.__all__ if fast else ()) == set(families(reference)[family].__all__)


@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_has_the_same_parameters_in_both(name: str) -> None:
    """Names, order and defaults; the annotations may differ."""

    def parameters(twin: ModuleType) -> list[tuple[str, object, object]]:
        signature = inspect.signature(getattr(twin, name))
        return [(p.name, p.kind, p.default) for p in signature.parameters.values()]

    assert parameters(numpy_kernels) == parameters(reference)


def test_the_loops_share_no_code_with_what_they_judge() -> None:
    for module in families(reference).values():
        source = inspect.getsource(module)
        assert "numpy_kernels" not in source


def test_infinite_numbers_warn_nowhere_outside_of_operators() -> None:
    """Warnings are errors here; `Op` turns NumPy's off, these three are also called without it."""
    wild = np.array([[1.0, np.inf], [np.nan, 3e38]], np.float32)
    mean, var = numpy_kernels.moments(wild)
    assert np.isnan(mean[0]) and np.isnan(var[1])
    assert numpy_kernels.cast(wild, "int64").dtype == np.int64
    p, v = wild.copy(), np.ones_like(wild)
    numpy_kernels.sgd_step(p, wild, v, 1e30, momentum=0.9, weight_decay=1e30)
    assert not np.isfinite(p).any()
