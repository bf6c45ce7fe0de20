"""Every planted bug is caught, by the checks that should; the sound engine is never accused."""

import runpy
from pathlib import Path

import pytest

example = runpy.run_path(str(Path(__file__).resolve().parents[2] / "examples" / "break_it.py"))
BUGS, CHECKS = example["BUGS"], example["CHECKS"]

# What theory says must see each bug; others may. A bug shared by forward and backward is invisible
# to every derivative; a gradient without history to all but the second order.
MUST_SEE = {
    "fold writes = for +=": {"conv", "first", "identity"},
    "fold forgets the dilation": {"conv", "first", "identity"},
    "fold crops off by one": {"conv", "first", "identity"},
    "unfold pads at the end only": {"conv", "first", "identity", "loops"},
    "unfold and fold forget dilation": {"loops"},
    "gw is a mean over the batch": {"conv", "first", "identity"},
    "gx is made outside the graph": {"second"},
    "conv_t's vjp uses y for gy": {"first", "second"},
    "conv_w's vjp uses y for gy": {"first", "second"},
    "relu's mask is y >= 0": {"first"},
    "a broadcast is not summed back": {"first"},
    "a second gradient overwrites": {"reuse"},
    "batch norm's means are constants": {"first"},
    "the loss counts ignored pixels": {"loops"},
}
BLIND = {  # what cannot see it, whatever the numbers
    "unfold and fold forget dilation": {"conv", "first", "second", "identity", "reuse"},
    "gx is made outside the graph": {"conv", "first", "identity", "loops", "reuse"},
    "conv_t's vjp uses y for gy": {"conv", "identity", "loops", "reuse"},
    "the loss counts ignored pixels": {"conv", "first", "second", "identity", "reuse"},
}


@pytest.fixture(scope="module")
def said():
    return {name: example["examine"](plants) for name, plants in BUGS.items()}


def test_the_sound_engine_is_not_accused() -> None:
    assert not any(example["examine"]([]).values())


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_caught_by_what_must_see_it(said, bug: str) -> None:
    seen = {name for name, words in said[bug].items() if words}
    assert seen >= MUST_SEE[bug]
    assert not seen & BLIND.get(bug, set())


def test_no_check_is_enough_and_none_is_idle(said) -> None:
    for check in CHECKS:
        caught = [bug for bug in BUGS if said[bug][check]]
        assert 0 < len(caught) < len(BUGS)


def test_at_least_ten_bugs() -> None:
    assert len(BUGS) >= 10 and set(MUST_SEE) == set(BUGS)


def test_the_verdicts_say_what_was_planted(said) -> None:
    assert "off by a factor 1/2" in said["gw is a mean over the batch"]["first"], "two images"
    assert "shifted" in said["fold crops off by one"]["first"]
    assert "detached" in said["gx is made outside the graph"]["second"]
    assert "not zero where it should be" in said["relu's mask is y >= 0"]["first"]
    assert "missing the sum" in said["a broadcast is not summed back"]["first"]
    assert "a term is missing" in said["batch norm's means are constants"]["first"]
    assert "7" in said["a second gradient overwrites"]["reuse"]


def test_the_script_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert example["main"]() == 0
    printed = capsys.readouterr().out
    assert all(bug in printed for bug in BUGS) and f"all {len(BUGS)} bugs are caught" in printed


def test_the_script_fails_if_a_bug_escapes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plant that changes nothing cannot be caught, so the script must not call it caught."""
    kernels = example["kernels"]
    for name in list(BUGS):
        monkeypatch.delitem(BUGS, name)
    monkeypatch.setitem(BUGS, "no bug at all", [(kernels, "relu_grad", kernels.relu_grad)])
    assert example["main"]() == 1
    assert "something is wrong" in capsys.readouterr().out
