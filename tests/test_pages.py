"""The pages: links lead somewhere, and CI runs the commands that the README shows."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchor(heading: str) -> str:
    """The fragment that a heading gets: lower case, punctuation gone, blanks as hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return {anchor(found) for found in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def dead_links(page: Path) -> list[str]:
    """Links of a page that lead to no file, or to no heading of their file."""
    dead = []
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        outside = not there.is_relative_to(ROOT.resolve())
        if outside or not there.exists() or (fragment and fragment not in anchors(there)):
            dead.append(target)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_resolve(page: Path) -> None:
    assert not dead_links(page)


def test_dead_links_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# A b\n[x](#a-b) [y](#c) [z](gone.md) ![w](../up.png) [web](https://a.org/b)\n"
    )
    assert dead_links(page) == ["#c", "gone.md", "../up.png"]


def marked(text: str, marker: str) -> list[str]:
    """The commands of the fenced block that follows <!-- marker -->."""
    found = re.findall(rf"^<!-- {marker} -->\n```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"README.md has {len(found)} blocks marked {marker}, not one"
    return [line for line in found[0].splitlines() if line]


def test_readme_opens_with_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    main, tests = marked(text, "main-job"), marked(text, "tests")
    assert any("minifcn demo" in line for line in main)
    assert any("pytest" in line for line in tests)
    assert "```" not in text[: text.index("<!-- main-job -->")], "the first command comes first"
    assert text.index("<!-- main-job -->") < text.index("<!-- tests -->")


@pytest.mark.parametrize("marker", ["main-job", "tests"])
def test_ci_reads_its_commands_from_the_readme(marker: str) -> None:
    done = subprocess.run(
        ["bash", ".ci/run", "--command", marker], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert done.stdout.splitlines() == marked(text, marker)


def test_ci_refuses_what_it_does_not_know() -> None:
    for arguments in (["--al"], ["--command", "no-such-marker"]):
        done = subprocess.run(
            ["bash", ".ci/run", *arguments], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode != 0
        assert arguments[-1] in done.stderr
