"""The house: rooms import one way, libraries load late, `import minifcn` loads NumPy alone."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "minifcn"

# The floors of the house, ground floor first. A room (a module or folder directly in minifcn/)
# imports from the floors below; rooms of one floor may know each other if no cycle arises.
FLOORS = [
    ["shapes", "window", "images", "modes", "versions"],
    ["device", "cuda"],
    ["kernels", "operators", "methods", "anomaly", "files", "graph"],
    ["core", "autocast"],
    ["samples", "creation", "sketch"],
    ["functional"],
    ["nn", "optim", "checks"],
    ["models"],
    ["data", "train", "infer", "interop", "study"],
    ["live"],
    ["__init__"],
    ["cli"],
    ["__main__"],
]

# The one upward reference: the `+`, `@`, `.sum()` of a Tensor, each imported when first called.
# graph.py names the types Op and Tensor of core.py for the reader; it never loads them.
UPWARD = {
    ("minifcn/operators.py", "functional"),
    ("minifcn/operators.py", "core"),
    ("minifcn/methods.py", "functional"),
    ("minifcn/methods.py", "core"),
    ("minifcn/graph.py", "core"),
}

# Where CuPy may be imported, inside functions only.
DOORS_TO_CUPY = re.compile(r"minifcn/(device\.py|kernels/cupy_\w+(\.py|/.*\.py))")


class Import(NamedTuple):
    """Where an import stands, what it names, when it runs: "load", "call" or "never" (types)."""

    path: str
    line: int
    module: str
    when: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.module}"


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """minifcn/nn/conv.py, posix style, whatever the machine."""
    return path.relative_to(ROOT).as_posix()


def room_of(module: str) -> str:
    """The room of minifcn.nn.conv is nn; that of minifcn itself is __init__."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports_of(source: ast.Module, path: str) -> Iterator[Import]:
    """Every import of one module. Relative ones are resolved: `from . import nn` is minifcn.nn."""
    package = path.removesuffix(".py").removesuffix("/__init__").split("/")
    if not path.endswith("__init__.py"):
        package = package[:-1]

    def walk(node: ast.AST, when: str) -> Iterator[Import]:
        for module in named_by(node, package):
            yield Import(path, node.lineno, module, when)  # type: ignore[attr-defined] # a statement
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            when = "call"
        for child in ast.iter_child_nodes(node):
            types = isinstance(node, ast.If) and is_type_checking(node) and child in node.body
            yield from walk(child, "never" if types else when)

    return walk(source, "load")


def named_by(node: ast.AST, package: list[str]) -> Iterator[str]:
    """The modules that one statement or call imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package[: len(package) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            # from minifcn import nn: a room; from minifcn.nn import Conv2d: a name in a module
            room = base == "minifcn" and is_room(alias.name)
            yield f"{base}.{alias.name}" if room else base
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in {
        "importlib.import_module",
        "import_module",
        "__import__",
    }:
        name = ast.unparse(node.args[0]).lstrip("f").strip("'")
        yield "minifcn" if name.startswith(".") else name


def is_type_checking(node: ast.If) -> bool:
    return ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def is_room(name: str) -> bool:
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


def all_imports() -> list[Import]:
    return [found for path in modules() for found in imports_of(tree_of(path), name_of(path))]


def own_imports() -> list[tuple[Import, str, str]]:
    """(import, importing room, imported room) for each that crosses from one room to another."""
    crossing = []
    for found in all_imports():
        if found.module.split(".")[0] == "minifcn":
            here = room_of(found.path.removesuffix(".py").replace("/", "."))
            there = room_of(found.module)
            if here != there:
                crossing.append((found, here, there))
    return crossing


def floor_of(room: str) -> int:
    for floor, rooms in enumerate(FLOORS):
        if room in rooms:
            return floor
    raise AssertionError(
        f"minifcn/{room} has no floor: give it one in FLOORS of tests/test_house.py"
    )


def allowed(path: str, here: str, there: str, when: str) -> bool:
    """The rule itself, on names alone."""
    upward = (path, there) in UPWARD and when != "load"
    return upward or floor_of(there) <= floor_of(here)


def test_every_room_has_a_floor() -> None:
    for path in modules():
        floor_of(room_of(name_of(path).removesuffix(".py").replace("/", ".")))


def test_imports_go_one_way() -> None:
    wrong = [
        f"{found}: {here} stands below {there}"
        for found, here, there in own_imports()
        if not allowed(found.path, here, there, found.when)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_two_rooms_need_each_other() -> None:
    needs: dict[str, set[str]] = {}
    for found, here, there in own_imports():
        if (found.path, there) not in UPWARD:
            needs.setdefault(here, set()).add(there)

    def reach(room: str, seen: set[str]) -> set[str]:
        for there in needs.get(room, set()) - seen:
            seen.add(there)
            reach(there, seen)
        return seen

    circular = sorted(room for room in needs if room in reach(room, set()))
    assert not circular, f"rooms in an import cycle: {circular}"


@pytest.mark.parametrize(
    ("path", "source", "module", "when"),
    [
        ("nn/conv.py", "from minifcn.functional.conv import a", "minifcn.functional.conv", "load"),
        ("nn/conv.py", "from ..functional import conv2d", "minifcn.functional", "load"),
        ("nn/conv.py", "from .. import functional", "minifcn.functional", "load"),
        ("nn/__init__.py", "from .conv import Conv2d", "minifcn.nn.conv", "load"),
        ("core.py", "from . import shapes", "minifcn.shapes", "load"),
        ("core.py", "def f():\n import minifcn.nn as nn", "minifcn.nn", "call"),
        ("core.py", "class A:\n import numpy.random", "numpy.random", "load"),
        ("core.py", "if TYPE_CHECKING:\n from .nn import Module", "minifcn.nn", "never"),
        ("device.py", "def f(): return importlib.import_module('cupy')", "cupy", "call"),
        ("__init__.py", "def f(n): return import_module(f'.{n}', __name__)", "minifcn", "call"),
    ],
)
def test_imports_are_read_right(path: str, source: str, module: str, when: str) -> None:
    found = list(imports_of(ast.parse(source), f"minifcn/{path}"))
    assert [(f.module, f.when) for f in found] == [(module, when)]


def test_the_rule_refuses_what_it_should() -> None:
    assert allowed("minifcn/nn/conv.py", "nn", "functional", "load")
    assert not allowed("minifcn/core.py", "core", "functional", "load")
    assert not allowed("minifcn/core.py", "core", "functional", "call"), "lazy is no excuse"
    assert allowed("minifcn/operators.py", "operators", "functional", "call")
    assert not allowed("minifcn/operators.py", "operators", "functional", "load")
    assert not allowed("minifcn/operators.py", "operators", "nn", "call")


def test_cupy_comes_in_by_its_doors_and_lazily() -> None:
    wrong = [
        str(found)
        for found in all_imports()
        if found.module.split(".")[0] in {"cupy", "cupyx"}
        and (found.when == "load" or not DOORS_TO_CUPY.fullmatch(found.path))
    ]
    assert not wrong, "\n".join(wrong)


def test_only_the_doors_ask_for_cupy() -> None:
    """`device.cupy` is for the CuPy kernels, and for who says what is missing."""
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path in modules()
        if not DOORS_TO_CUPY.fullmatch(name_of(path)) and name_of(path) != "minifcn/cuda.py"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and "cupy" in [alias.name for alias in node.names]
    ]
    assert not wrong, "\n".join(wrong)


def test_only_declared_libraries_are_imported() -> None:
    light = {"minifcn", "numpy"} | set(sys.stdlib_module_names)
    heavy = {
        "av",
        "PIL",
        "safetensors",
        "threadpoolctl",
        "tqdm",
        "matplotlib",
        "cupy",
        "cupyx",
        "onnx",
        "onnxruntime",
        "mpi4py",
        "ml_dtypes",
    }
    unknown = [str(f) for f in all_imports() if f.module.split(".")[0] not in light | heavy]
    assert not unknown, "\n".join(unknown)
    eager = [str(f) for f in all_imports() if f.when == "load" and f.module.split(".")[0] in heavy]
    assert not eager, "import these inside the function that needs them:\n" + "\n".join(eager)


def test_every_room_is_reached_by_its_name_and_no_other() -> None:
    """`mf.nn` without importing it; a room that is not built yet is no attribute, not a crash."""
    import minifcn

    behind = {"cli", "kernels"}  # nothing for users of the library
    rooms = {init.parent.name for init in PACKAGE.glob("*/__init__.py")} - behind
    assert rooms == set(minifcn._ROOMS)
    assert all(getattr(minifcn, room).__name__ == f"minifcn.{room}" for room in rooms)
    assert not hasattr(minifcn, "nowhere")


def test_import_loads_numpy_only_and_says_nothing() -> None:
    program = (
        "import sys, numpy\n"
        "before = set(sys.modules)\n"
        "import minifcn\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(new - set(sys.stdlib_module_names) - {'minifcn', 'numpy'}), end='')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done.stderr
