"""What setup.py declares is what the package uses and what the pages tell people to install."""

import ast
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SETUP = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))

HEAVY = {
    "av",
    "numpy",
    "PIL",
    "safetensors",
    "threadpoolctl",
    "tqdm",
    "matplotlib",
    "cupy",
    "cupyx",
    "onnx",
    "mpi4py",
    "ml_dtypes",
}

# Where the name to import differs from the name to install.
DISTRIBUTIONS = {"PIL": "pillow", "cupy": "cupy-cuda12x", "cupyx": "cupy-cuda12x"}


def constant(name: str) -> Any:
    """The literal that setup.py gives to a name."""
    for node in SETUP.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"setup.py sets no {name}")


def distribution(requirement: str) -> str:
    """numpy of numpy>=2,<3."""
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]


def pages() -> list[Path]:
    sources = [
        p for room in ("minifcn", "examples", "benchmarks") for p in ROOT.glob(f"{room}/**/*")
    ]
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *sources]
    return [page for page in pages if page.suffix in {".py", ".md"}]


def test_every_library_that_is_imported_is_declared() -> None:
    extras: dict[str, list[str]] = constant("EXTRAS")
    users = [row for extra, rows in extras.items() if extra not in {"test", "dev"} for row in rows]
    declared = {distribution(row) for row in [*constant("CORE"), *users]}
    for path in sorted((ROOT / "minifcn").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            for library in {name.split(".")[0] for name in names} & HEAVY:
                assert DISTRIBUTIONS.get(library, library) in declared, f"{path} imports {library}"


def test_extras_that_are_named_exist() -> None:
    known = set(constant("EXTRAS"))
    named = {
        (page.relative_to(ROOT).as_posix(), extra)
        for page in pages()
        for found in re.findall(r"(?:minifcn|\.)\[([a-z0-9,]+)\]", page.read_text(encoding="utf-8"))
        for extra in found.split(",")
    }
    assert named, "no page names an extra, so this test looks for the wrong words"
    assert not {(page, extra) for page, extra in named if extra not in known}


def test_metadata_agree_with_the_package() -> None:
    import minifcn

    try:
        assert version("minifcn") == minifcn.__version__
    except PackageNotFoundError:
        pytest.skip("minifcn runs from its folder, not installed")


def test_every_file_of_the_package_is_installed() -> None:
    """What is no Python file is installed only if a pattern of package_data names it."""
    calls = [node for node in ast.walk(SETUP) if isinstance(node, ast.Call)]
    call = next(call for call in calls if ast.unparse(call.func) == "setup")
    given = {word.arg: word.value for word in call.keywords}
    patterns = ast.literal_eval(given["package_data"])["minifcn"]
    package = ROOT / "minifcn"
    named = {path for pattern in patterns for path in package.glob(pattern)}
    files = {
        path for path in package.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert not files - named, "no pattern of package_data names these"
    assert package / "live" / "page" / "live.js" in files
