"""A process that works with other kernels than the package's own, for planted.py.

planted_child.py FOLDER ANSWER pytest ARGUMENT...     {"ran": 3, "failed": [[error, text], ...]}
planted_child.py FOLDER ANSWER nvrtc FILE             {"ran": 4, "failed": [text, ...]}
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pytest

from minifcn.kernels.cupy_kernels import launch


class Listener:
    """Counts tests, and keeps the kind of every error."""

    def __init__(self) -> None:
        self.ran = 0
        self.failed: list[tuple[str, str]] = []

    def pytest_runtest_makereport(self, item: Any, call: pytest.CallInfo[Any]) -> None:
        if call.when == "call" and (
            call.excinfo is None or not call.excinfo.errisinstance(pytest.skip.Exception)
        ):
            self.ran += 1
        if call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception):
            self.failed.append((call.excinfo.type.__name__, f"{item.name}: {call.excinfo.value}"))


def tested(arguments: list[str]) -> dict[str, Any]:
    listener = Listener()
    options = ["-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", ""]
    pytest.main([*options, *arguments], plugins=[listener])
    return {"ran": listener.ran, "failed": listener.failed}


def compiled(file: str) -> dict[str, Any]:
    from tests.cuda_emu import nvrtc, nvrtc_builds

    # of those that include a header, two tell enough
    users = [f for f in nvrtc_builds.files() if f'#line 1 "{file}.cuh"' in launch.source(f)][:2]
    work = [t for f in users or [file] for t in nvrtc_builds.tasks(f, False, nvrtc.QUICK)]
    made = [nvrtc.compiled(task) for task in work]
    failures = [one for one in made if isinstance(one, nvrtc.Failure)]
    kernels = [k for one in made if not isinstance(one, nvrtc.Failure) for k in one]
    return {"ran": len(made), "failed": nvrtc.problems(kernels, failures)}


if __name__ == "__main__":
    folder, answer, what, *arguments = sys.argv[1:]
    launch.FOLDER = Path(folder)
    said = tested(arguments) if what == "pytest" else compiled(*arguments)
    Path(answer).write_text(json.dumps(said))
