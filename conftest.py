"""What every test and documentation page shares: threads, Hypothesis profiles, a clean folder."""

import os
from collections.abc import Iterator
from pathlib import Path

# Parallel test workers share the cores: one BLAS thread each. NumPy reads this once, when it loads.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

# "quick" is what everyone runs, the same examples every time; "deep" looks further and draws new
# ones: pytest --hypothesis-profile=deep
settings.register_profile("quick", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("deep", deadline=None, max_examples=500, print_blob=True)
settings.load_profile("quick")

SLOW_PAGE = "<!-- slow -->"  # a page with this line is run by `pytest -m slow` only


@pytest.hookimpl(tryfirst=True)  # before pytest deselects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the doctests of a page that calls itself slow the marker of that name."""
    slow: dict[Path, bool] = {}
    for item in items:
        if item.path.suffix == ".md":
            if item.path not in slow:
                slow[item.path] = SLOW_PAGE in item.path.read_text(encoding="utf-8").splitlines()
            if slow[item.path]:
                item.add_marker(pytest.mark.slow)


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
