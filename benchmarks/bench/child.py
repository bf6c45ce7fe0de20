"""child: a process that does one job when asked, through its pipes, and sleeps in between.

One line of JSON comes in, {"do": method, "with": options}; one goes out, {"answer": ...} or
{"error": text}. The first request makes the job. What libraries print goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

from . import frames, others, shared
from .jobs import JOBS, Job

JOBS.update(frames.JOBS)
JOBS.update(others.JOBS)
JOBS.update(shared.JOBS)


class Pipes:
    """Requests as they come, and where the answers go."""

    def __init__(self) -> None:
        self.answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def __iter__(self) -> Pipes:
        return self

    def __next__(self) -> tuple[str, dict[str, Any]]:
        line = sys.stdin.readline()
        if not line:
            raise StopIteration
        request = json.loads(line)
        return request["do"], request["with"]

    def say(self, **reply: Any) -> None:
        self.answers.write(json.dumps(reply) + "\n")
        self.answers.flush()


def main() -> None:
    """Make the job, and let it serve until the pipe closes."""
    pipes = Pipes()
    for _, options in pipes:
        try:
            job: Job = JOBS[options.pop("job")](**options)
            pipes.say(answer=None)
            job.serve(pipes)
        except Exception:
            pipes.say(error=traceback.format_exc())


if __name__ == "__main__":
    main()
