"""rates: frames per second of each side, and its time as a ratio to PyTorch's two layouts."""

from __future__ import annotations

from typing import Any

from .report import table
from .turns import Times

HEAD = ("side", "frames/s", "median ms", "min ms", "/ NCHW", "/ channels_last", "quiet")


def summaries(times: dict[str, Times]) -> dict[str, dict[str, Any]]:
    """Each side's times, frames per second, and ratios to PyTorch's two layouts."""
    found: dict[str, dict[str, Any]] = {}
    for title, took in times.items():
        found[title] = {"frames/s": 1 / took.median, **took.summary()}
        for layout in ("NCHW", "channels_last"):
            if (other := times.get(f"PyTorch {layout}")) is not None:
                found[title][layout] = took.median / other.median
    return found


def rates(found: dict[str, dict[str, Any]]) -> str:
    """The summaries as a table."""
    rows = [
        [title, row["frames/s"], 1e3 * row["median s"], 1e3 * row["min s"], row.get("NCHW"),
         row.get("channels_last"), row["quiet turns"]]
        for title, row in found.items()
    ]  # fmt: skip
    return table(HEAD, rows)
