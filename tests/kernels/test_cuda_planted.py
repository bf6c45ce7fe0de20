"""Bugs planted in the kernels are found; `python tests/cuda_emu/planted.py` prints by what."""

import shutil
from functools import cache
from pathlib import Path

import pytest

from minifcn.kernels.cupy_kernels.launch import FOLDER
from tests.cuda_emu import planted
from tests.cuda_emu.planted_bugs import BUGS, Bug

needs_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on this machine")
every_bug = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)

# One that a value shows and one that the emulator reports: seconds. The others are slow.
QUICK = ["the last element of a ragged end is left out", "a barrier that some threads do not reach"]


@every_bug
def test_a_bug_has_its_place_in_the_kernel(bug: Bug, tmp_path: Path) -> None:
    """Who rewrites a kernel plants its bugs anew."""
    changed = planted.plant(bug, tmp_path) / bug.file
    assert changed.read_text("utf-8") != (FOLDER / bug.file).read_text("utf-8")
    assert set(bug.caught) <= set(planted.CHECKS) and bug.caught


def test_names_are_unique() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS)


@needs_gxx
@pytest.mark.parametrize("name", QUICK)
def test_a_bug_is_found(name: str) -> None:
    (bug,) = (bug for bug in BUGS if bug.name == name)
    assert_found(bug, ["plain"])


@needs_gxx
@pytest.mark.slow
@every_bug
def test_every_bug_is_found_by_every_check_beside_it(bug: Bug) -> None:
    assert_found(bug, planted.runs_of(planted.CHECKS))


def assert_found(bug: Bug, runs: list[str]) -> None:
    checks = [c for c in planted.CHECKS if any(run in runs for run in planted.runs_of([c]))]
    found = planted.judge(bug, runs)
    assert not planted.wrong(bug, found, checks)
    for run in set(runs) - {"nvrtc"}:
        assert not without_a_bug(run, bug.selection())


@cache
def without_a_bug(run: str, selection: tuple[str, ...]) -> list[str]:
    return planted.clean(run, selection)
