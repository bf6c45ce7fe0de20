"""child: a process that does one job when asked, through its pipes, and sleeps in between.

One line of JSON comes in, {"do": method, "with": options}; one goes out, {"answer": ...} or
{"error": text}. What libraries print goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

from .jobs import JOBS


def main() -> None:
    """Answer until the pipe closes."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    job: Any = None
    for line in sys.stdin:
        request = json.loads(line)
        options = request["with"]
        try:
            if request["do"] == "make":
                job = JOBS[options.pop("job")](**options)
                reply: dict[str, Any] = {"answer": None}
            else:
                reply = {"answer": getattr(job, request["do"])(**options)}
        except Exception:
            reply = {"error": traceback.format_exc()}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
