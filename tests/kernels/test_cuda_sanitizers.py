"""The tests of the kernels run under sanitizers, by the command that CONTRIBUTING.md names."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cuda_emu import sanitize

COMMAND = [sys.executable, str(Path(sanitize.__file__))]
needs_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on this machine")


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True)


@needs_gxx
@pytest.mark.parametrize("kind", sanitize.KINDS)
def test_a_sound_kernel_passes(kind: str) -> None:
    done = run(kind, f"{sanitize.ALL[0]}[cuda-relu-0-float32]")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout, "the kernel ran"


def test_the_short_selection_names_tests_that_are_there() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *sanitize.SHORT]
    done = subprocess.run(command, cwd=sanitize.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_another_word_prints_how_to_use_it() -> None:
    done = run("memory")
    assert done.returncode == 2
    assert "sanitize.py address" in done.stdout


def test_a_report_is_told_from_a_warning() -> None:
    printed = "==1==WARNING: ASan doesn't fully support makecontext\n%s\n    #0 in kernel"
    for kind, line in (
        ("address", "==1==ERROR: AddressSanitizer: heap-buffer-overflow on address"),
        ("address", "source:19:3: runtime error: load of misaligned address"),
        ("thread", "WARNING: ThreadSanitizer: data race (pid=1)"),
        ("thread", "WARNING: ThreadSanitizer: heap-use-after-free (pid=1)"),
    ):
        assert sanitize.report(kind, printed % line) == line
        assert not sanitize.report(kind, printed % "all is well")
        assert not sanitize.report("", printed % line)
