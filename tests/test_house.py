"""The rules of the house: who imports whom, what an import loads, how long a file may be."""

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
    ["shapes", "images"],
    ["device"],
    ["kernels"],
    ["core", "autocast"],
    ["operators", "samples", "gradcheck"],
    ["functional"],
    ["nn", "optim"],
    ["models"],
    ["data", "train", "infer", "interop", "study"],
    ["cli"],
    ["__init__", "__main__"],
]

# The one upward reference: the `+`, `@`, `.sum()` of a Tensor, each imported when first called.
UPWARD = {"minifcn/operators.py": "functional"}

# Files of over 300 lines, each with the reason why it holds one idea all the same.
LONG: dict[str, str] = {}
LONGEST = 300

# Where CuPy may be imported, inside functions only.
DOORS_TO_CUPY = re.compile(r"minifcn/(device\.py|kernels/cupy_\w+(\.py|/.*\.py))")


class Import(NamedTuple):
    """An import: where it stands, what it names, whether it runs when the module loads."""

    path: str
    line: int
    module: str
    eager: bool

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
    """Every import of one module, relative ones resolved; `from minifcn import nn` is minifcn.nn."""
    package = path.removesuffix(".py").removesuffix("/__init__").split("/")
    if not path.endswith("__init__.py"):
        package = package[:-1]

    def walk(node: ast.AST, eager: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name, eager)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                # from minifcn import nn: a room; from minifcn.nn import Conv2d: a name in a module
                whole = base == "minifcn" and is_room(alias.name)
                yield Import(path, node.lineno, f"{base}.{alias.name}" if whole else base, eager)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, eager and not inside)

    return walk(source, True)


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


def allowed(path: str, here: str, there: str, eager: bool) -> bool:
    """The rule itself, on names alone."""
    lazily_up = UPWARD.get(path) == there and not eager
    return lazily_up or floor_of(there) <= floor_of(here)


def test_every_room_has_a_floor() -> None:
    for path in modules():
        floor_of(room_of(name_of(path).removesuffix(".py").replace("/", ".")))


def test_imports_go_one_way() -> None:
    wrong = [
        f"{found}: {here} stands below {there}"
        for found, here, there in own_imports()
        if not allowed(found.path, here, there, found.eager)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_two_rooms_need_each_other() -> None:
    needs: dict[str, set[str]] = {}
    for found, here, there in own_imports():
        if UPWARD.get(found.path) != there:
            needs.setdefault(here, set()).add(there)

    def reach(room: str, seen: set[str]) -> set[str]:
        for there in needs.get(room, set()) - seen:
            seen.add(there)
            reach(there, seen)
        return seen

    circular = sorted(room for room in needs if room in reach(room, set()))
    assert not circular, f"rooms in an import cycle: {circular}"


@pytest.mark.parametrize(
    ("path", "line", "module", "eager"),
    [
        (
            "nn/conv.py",
            "from minifcn.functional.conv import conv2d",
            "minifcn.functional.conv",
            True,
        ),
        ("nn/conv.py", "from ..functional import conv2d", "minifcn.functional", True),
        ("nn/conv.py", "from .. import functional", "minifcn.functional", True),
        ("nn/__init__.py", "from .conv import Conv2d", "minifcn.nn.conv", True),
        ("core.py", "from . import shapes", "minifcn.shapes", True),
        ("core.py", "def f():\n    import minifcn.functional as F", "minifcn.functional", False),
        ("core.py", "class A:\n    import numpy.random", "numpy.random", True),
    ],
)
def test_imports_are_read_right(path: str, line: str, module: str, eager: bool) -> None:
    if module.startswith("minifcn.") and not is_room(room_of(module)):
        pytest.fail(f"the example needs the room {room_of(module)}")
    found = list(imports_of(ast.parse(line), f"minifcn/{path}"))
    assert [(f.module, f.eager) for f in found] == [(module, eager)]


def test_the_rule_refuses_what_it_should() -> None:
    assert allowed("minifcn/nn/conv.py", "nn", "functional", True)
    assert not allowed("minifcn/core.py", "core", "functional", True)
    assert not allowed("minifcn/core.py", "core", "functional", False), "lazy is no excuse"
    assert allowed("minifcn/operators.py", "operators", "functional", False)
    assert not allowed("minifcn/operators.py", "operators", "functional", True)
    assert not allowed("minifcn/operators.py", "operators", "nn", False)


def test_cupy_comes_in_by_its_doors_and_lazily() -> None:
    wrong = [
        str(found)
        for found in all_imports()
        if found.module.split(".")[0] in {"cupy", "cupyx"}
        and (found.eager or not DOORS_TO_CUPY.fullmatch(found.path))
    ]
    assert not wrong, "\n".join(wrong)


def test_only_declared_libraries_are_imported() -> None:
    light = {"minifcn", "numpy"} | set(sys.stdlib_module_names)
    heavy = {"PIL", "safetensors", "tqdm", "matplotlib", "cupy", "cupyx", "onnx", "mpi4py"}
    unknown = [str(f) for f in all_imports() if f.module.split(".")[0] not in light | heavy]
    assert not unknown, "\n".join(unknown)
    eager = [str(f) for f in all_imports() if f.eager and f.module.split(".")[0] in heavy]
    assert not eager, "import these inside the function that needs them:\n" + "\n".join(eager)


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


def test_a_file_is_read_in_one_sitting() -> None:
    lines = {
        name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()
    }
    over = {name: count for name, count in lines.items() if count > LONGEST}
    assert not {n: c for n, c in over.items() if n not in LONG}, f"over {LONGEST} lines: {over}"
    assert not set(LONG) - set(over), "no longer long, so strike them from LONG"


def test_every_module_says_what_it_is_for() -> None:
    mute = [name_of(path) for path in modules() if not ast.get_docstring(tree_of(path))]
    assert not mute


def code_smells(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Ways to run a file's content as code: pickles, eval, exec."""
    picklers = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in picklers:
                    yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            if node.module in picklers:
                yield node.lineno, node.module
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec"}:
                yield node.lineno, node.func.id
            for keyword in node.keywords:
                off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg == "allow_pickle" and not off:
                    yield node.lineno, "allow_pickle"


def test_no_file_is_run_as_code() -> None:
    wrong = [f"{name_of(p)}:{n} {what}" for p in modules() for n, what in code_smells(tree_of(p))]
    assert not wrong


def test_smells_are_smelt() -> None:
    bad = ["import pickle", "from dill import load", "eval('1')", "np.load(f, allow_pickle=True)"]
    good = ["model.eval()", "np.load(f, allow_pickle=False)", "import pickletools"]
    found = [what for _, what in code_smells(ast.parse("\n".join(bad + good)))]
    assert found == ["pickle", "dill", "eval", "allow_pickle"]


def tracked_files() -> list[Path]:
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, capture_output=True
    )
    if done.returncode != 0:
        pytest.skip("not a git checkout: no list of tracked files")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name]


def test_no_path_of_somebodys_machine_is_tracked() -> None:
    homes = "|".join(["work", "root", "home", "Users"])
    somewhere = re.compile(rf"(?<![\w.}}/>-])/(?:{homes})/\w".encode())
    wrong = []
    for path in tracked_files():
        if path.is_file():
            for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
                if somewhere.search(line) and b"\0" not in line:
                    wrong.append(f"{name_of(path)}:{number}")
    assert not wrong
