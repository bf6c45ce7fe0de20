"""The whole family against PyTorch, where PyTorch is installed; see benchmarks/parity_models.py."""

import importlib.util
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

import minifcn.functional as F

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
QUICK = ("squeezenet1_1", "resnet18", "resnet50 dilated", "fcn vgg16", "unet valid", "espnet")

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is missing"),
    pytest.mark.filterwarnings("default"),  # PyTorch's own
]


@pytest.fixture
def parity(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the script with some arguments; what it prints."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["benchmarks/parity_models.py", *arguments])
        runpy.run_path(str(BENCHMARKS / "parity_models.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_narrow_models_agree_at_odd_sizes(parity, tmp_path):
    path = tmp_path / "parity.json"
    printed = parity("--quick", "--only", *QUICK, "--json", str(path))
    assert "all within 0.0001" in printed and "NOT" not in printed
    models = json.loads(path.read_text(encoding="utf-8"))["models"]
    assert all(any(word in title for title in models) for word in QUICK)
    assert all(0 < error <= 1e-4 for m in models.values() for error in m["errors"].values())


def test_a_difference_is_noticed(parity, monkeypatch, capsys):
    """Fire modules that join their halves the other way round."""
    cat = F.cat
    monkeypatch.setattr(F, "cat", lambda parts, dim: cat(parts[::-1], dim))
    with pytest.raises(SystemExit) as caught:
        parity("--quick", "--only", "squeezenet1_1")
    assert caught.value.code == 1
    assert "NOT all within" in capsys.readouterr().out


@pytest.mark.slow
def test_all_models_agree_at_their_full_width(parity):
    assert "all within 0.0001" in parity()
