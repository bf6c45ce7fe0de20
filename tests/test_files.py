"""What holds for every file: its length, what it says of itself, what it never does."""

import ast
import importlib
import inspect
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Files of over 300 lines, each with the reason why it holds one idea all the same.
LONG: dict[str, str] = {}
LONGEST = 300


def modules() -> list[Path]:
    return sorted((ROOT / "minifcn").rglob("*.py"))


def name_of(path: Path) -> str:
    """minifcn/nn/conv.py, posix style, whatever the machine."""
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def test_a_file_is_read_in_one_sitting() -> None:
    lines = {
        name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()
    }
    over = {name: count for name, count in lines.items() if count > LONGEST}
    assert not {n: c for n, c in over.items() if n not in LONG}, f"over {LONGEST} lines: {over}"
    assert not set(LONG) - set(over), "no longer long, so strike them from LONG"


def test_every_folder_of_modules_is_a_package() -> None:
    bare = {name_of(p.parent) for p in modules() if not (p.parent / "__init__.py").is_file()}
    assert not bare, f"setup.py leaves out folders without __init__.py: {sorted(bare)}"


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


def slots_of(doc: str) -> list[str]:
    """The beginnings of the Shape, Source and Cost slots, each with what stands before its text."""
    return re.findall(r"(?:^|   )((?:Shape|Source|Cost)\b(?:[ :]+|$))", doc, flags=re.MULTILINE)


def test_slots_are_spelt_alike() -> None:
    """`Shape   x: N C H W -> y: N O P Q`: words in one column, whatever the slot."""
    odd = [
        f"{name_of(path)}: {slot!r}"
        for path in modules()
        for node in ast.walk(tree_of(path))
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        for slot in slots_of(ast.get_docstring(node) or "")
        if slot not in ("Shape   ", "Source  ", "Cost    ")
    ]
    assert not odd
    assert slots_of("Sum.\n\nShape: any\nCost  one pass") == ["Shape: ", "Cost  "]


def arrays_in(function: Callable[..., object]) -> list[str]:
    """The arguments that take tensors, by their annotations."""
    notes = {name: str(p.annotation) for name, p in inspect.signature(function).parameters.items()}
    return [name for name, note in notes.items() if re.search(r"\bTensor\b", note)]


def undocumented(name: str, thing: object) -> str:
    """What a public name lacks: a docstring, or a Shape slot (its own or its file's) for arrays."""
    doc, page = inspect.getdoc(thing), inspect.getdoc(inspect.getmodule(thing))
    call = getattr(thing, "forward", None) if inspect.isclass(thing) else thing
    if not doc:
        return f"{name} has no docstring"
    if callable(call) and arrays_in(call) and not re.search(r"\bShape\b", f"{doc}\n{page}"):
        return f"{name} takes {', '.join(arrays_in(call))} but says no Shape"
    return ""


@pytest.mark.parametrize("room", ["functional", "nn"])
def test_public_names_say_what_shapes_they_take(room: str) -> None:
    module = importlib.import_module(f"minifcn.{room}")
    public = {
        name: thing
        for name, thing in vars(module).items()
        if not name.startswith("_") and (inspect.isfunction(thing) or inspect.isclass(thing))
    }
    assert public, f"minifcn.{room} is empty"
    lacks = [undocumented(f"{room}.{name}", thing) for name, thing in public.items()]
    assert not any(lacks), "\n".join(filter(None, lacks))


def test_missing_shapes_are_missed() -> None:
    class Tensor:
        """A stand-in."""

    def mute(x: Tensor) -> None: ...

    def vague(x: Tensor) -> None:
        """Do something."""

    def plain(count: int) -> None:
        """Count."""

    assert "docstring" in undocumented("mute", mute)
    assert "Shape" in undocumented("vague", vague)
    assert not undocumented("plain", plain)
