"""Real photos and weights: for research only, and so beside the checkout, never in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PLACE = "MINIFCN_DATA"
BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_data(name: str) -> Path:
    """The folder of that name in the data pack; the test is skipped where there is none."""
    folder = Path(os.environ.get(PLACE, BESIDE)) / name
    if not folder.exists():
        pytest.skip(f"no {name} in {folder.parent}; {PLACE} says where the data pack is")
    return folder
