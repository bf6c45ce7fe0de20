"""The kernel twins export the same names with the same parameters, and no more than they say."""

import importlib
import inspect
import pkgutil
from types import ModuleType

import numpy as np
import pytest

from minifcn.kernels import cupy_kernels, numpy_kernels, reference

TWINS = {"numpy": numpy_kernels, "cupy": cupy_kernels}
every_twin = pytest.mark.parametrize("twin", TWINS)


def families(twin: ModuleType) -> dict[str, ModuleType]:
    """Every module of a twin that may offer kernels, in __all__."""
    return {
        info.name: importlib.import_module(f"{twin.__name__}.{info.name}")
        for info in pkgutil.iter_modules(twin.__path__)
        if info.name not in NOT_KERNELS
    }


NOT_KERNELS = {"memory", "threads", "workspace"}  # what they offer is for users of the memory


FAMILIES = {name for name, module in families(reference).items() if module.__all__}
NAMES = sorted({n for f in families(reference).values() for n in f.__all__})


@every_twin
def test_all_twins_have_the_same_families(twin: str) -> None:
    assert set(families(TWINS[twin])) >= FAMILIES


@every_twin
def test_all_twins_export_the_same_names(twin: str) -> None:
    assert set(NAMES) <= set(vars(TWINS[twin]))
    offered = {n for f in families(TWINS[twin]).values() for n in getattr(f, "__all__", ())}
    assert offered == set(NAMES), "and no more"


@every_twin
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_family_offers_the_same_in_all(family: str, twin: str) -> None:
    assert set(families(TWINS[twin])[family].__all__) == set(families(reference)[family].__all__)


@every_twin
@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_has_the_same_parameters_in_all(name: str, twin: str) -> None:
    """Names, order and defaults; the annotations may differ."""

    def parameters(module: ModuleType) -> list[tuple[str, object, object]]:
        signature = inspect.signature(getattr(module, name))
        return [(p.name, p.kind, p.default) for p in signature.parameters.values()]

    assert parameters(TWINS[twin]) == parameters(reference)


def test_the_loops_share_no_code_with_what_they_judge() -> None:
    for module in families(reference).values():
        source = inspect.getsource(module)
        assert "numpy_kernels" not in source and "cupy_kernels" not in source


def test_infinite_numbers_warn_nowhere_outside_of_operators() -> None:
    """Warnings are errors here; `Op` turns NumPy's off, these three are also called without it."""
    wild = np.array([[1.0, np.inf], [np.nan, 3e38]], np.float32)
    mean, var = numpy_kernels.moments(wild)
    assert np.isnan(mean[0]) and np.isnan(var[1])
    assert numpy_kernels.cast(wild, "int64").dtype == np.int64
    p, v = wild.copy(), np.ones_like(wild)
    numpy_kernels.sgd_step(p, wild, v, 1e30, momentum=0.9, weight_decay=1e30)
    assert not np.isfinite(p).any()
