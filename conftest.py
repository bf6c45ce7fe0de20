"""What every test and documentation page shares: threads, Hypothesis profiles, a clean folder, and
what the device "cuda" is: the real CuPy on a GPU, or the emulator of tests/cuda_emu.
"""

import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

# Parallel test workers share the cores: one BLAS thread each. NumPy reads this once, when it loads.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from tests.cuda_emu import Cuda, find_cuda

# "quick" is what everyone runs, the same examples every time; "deep" looks further and draws new
# ones: pytest --hypothesis-profile=deep
settings.register_profile("quick", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("deep", deadline=None, max_examples=500, print_blob=True)
settings.load_profile("quick")

collect_ignore = ["tests/cuda_emu/on.py"]  # to import it is to change the process

SLOW_PAGE = "<!-- slow -->"  # a page with this line is run by `pytest -m slow` only
NEEDS = re.compile("^<!-- needs ([a-z]+) -->$", re.MULTILINE)  # and this one only if it is there


@pytest.hookimpl(tryfirst=True)  # before pytest deselects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the doctests of a page that calls itself slow; skip those of one that needs more."""
    pages: dict[Path, str] = {}
    for item in items:
        if item.path.suffix == ".md":
            text = pages.setdefault(item.path, item.path.read_text(encoding="utf-8"))
            if SLOW_PAGE in text.splitlines():
                item.add_marker(pytest.mark.slow)
            for extra in NEEDS.findall(text):
                lacks = find_spec(extra) is None
                item.add_marker(pytest.mark.skipif(lacks, reason=f"{extra} is not installed"))


@pytest.fixture(autouse=True)
def pages_write_elsewhere(request: pytest.FixtureRequest) -> Iterator[None]:
    """A page may write files by relative names; they land in a temporary folder."""
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))
    yield


@pytest.fixture
def root() -> Path:
    """The folder of the checkout."""
    return Path(__file__).resolve().parent


# ---- devices: a test that takes `device` runs on each, one that takes `cuda` on that alone -------


def pytest_report_header() -> str:
    try:
        return f"device cuda: {find_cuda()}"
    except (RuntimeError, ValueError) as error:  # what MINIFCN_CUDA asks for cannot be
        raise pytest.UsageError(str(error)) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes `device` on both, unless it names its devices itself."""
    marks = metafunc.definition.iter_markers("parametrize")
    named = any("device" in str(mark.args[0]).replace(",", " ").split() for mark in marks)
    if "device" in metafunc.fixturenames and not named:
        metafunc.parametrize("device", ["cpu", "cuda"])


@pytest.fixture(autouse=True)
def device_is_there(request: pytest.FixtureRequest) -> Iterator[None]:
    """The device of a parametrized test. Tests that do not ask for "cuda" never see a stand-in."""
    call = getattr(request.node, "callspec", None)
    if call is not None and call.params.get("device") == "cuda":
        request.getfixturevalue("cuda")
    yield


@pytest.fixture
def cuda() -> Iterator[Cuda]:
    """The device "cuda", whatever it is here; the test is skipped if it is nothing."""
    found = find_cuda()
    if found.kind == "none":
        pytest.skip(f"no device cuda: {found.reason}")
    with found.present():
        yield found
