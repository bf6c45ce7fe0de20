"""report: a table for the eye, JSON for the record."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .machine import describe


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell: the first to the left, the others to the right."""
    cells = [list(head), *([show(cell) for cell in row] for row in rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(head))]
    lines = []
    for row in cells:
        rest = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *rest]).rstrip())
    return "\n".join(lines)


def show(cell: object) -> str:
    """A number with three digits that count; nothing as a dash."""
    if cell is None:
        return "-"
    if isinstance(cell, float):
        digits = f"{cell:.3g}" if abs(cell) < 1000 else f"{cell:.0f}"
        return digits
    return str(cell)


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Arguments that every script takes."""
    made = argparse.ArgumentParser(
        description=(doc or "").split("\n\n")[0],
        epilog="Run with nothing else on the machine.",
    )
    made.add_argument("--quick", action="store_true", help="toy sizes: does it run at all?")
    made.add_argument("--json", type=Path, help="also write the result to this file")
    made.add_argument(
        "--patience", type=float, help="seconds to wait for a quiet machine before each turn (10)"
    )
    return made


def patience_of(arguments: argparse.Namespace) -> float:
    """0 in a quick run."""
    if arguments.patience is not None:
        return float(arguments.patience)
    return 0.0 if arguments.quick else 10.0


def finish(result: dict[str, Any], path: Path | None) -> None:
    """Write the result with machine and versions, if a file was named: aside, then renamed."""
    if path is None:
        return
    text = json.dumps({**describe(), **result}, indent=1) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
    print(f"written to {path}", file=sys.stderr)
