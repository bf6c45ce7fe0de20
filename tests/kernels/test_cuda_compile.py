"""What the check of compilation finds; CI runs it, `python tests/cuda_emu/nvrtc.py`, by itself."""

import subprocess
import sys

import pytest

from minifcn.kernels.cupy_kernels.launch import declarations, source
from tests.cuda_emu import nvrtc, nvrtc_builds
from tests.cuda_emu.find import Cuda
from tests.cuda_emu.nvrtc_library import MISSING, Macros, installed

needs_nvrtc = pytest.mark.skipif(installed() is None, reason=MISSING)
every_file = pytest.mark.parametrize("file", nvrtc_builds.files())


# ---- what a header declares ----------------------------------------------------------------------


@every_file
def test_the_header_says_with_which_macros_a_file_is_compiled(file: str) -> None:
    for line in nvrtc_builds.builds(file):
        assert nvrtc_builds.undeclared(source(file), options(line.first())) is None


@every_file
def test_a_reason_for_local_memory_belongs_to_a_kernel(file: str) -> None:
    reasons = nvrtc_builds.stack_allowed(file)
    assert reasons.keys() <= declarations(source(file), {}).keys()
    assert all(reasons.values())


def options(macros: Macros) -> list[str]:
    return ["-std=c++17", *(f"-D{name}={value}" for name, value in macros)]


HEADER = """#line 1 "made.cu"
// made.cu: an example.
//
// Builds  REAL=floating TILE=64|128 from sm_80
// Builds  REAL=integer|double
// Builds  REAL=half16|double OUT=double|REAL
int code;
// Builds  REAL=no
"""


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ("REAL=float TILE=64", True),
        ("TILE=128 REAL=half16", True),
        ("REAL=double", True),
        ("REAL=bool", True),
        ("REAL=half16 OUT=half16", True),
        ("REAL=double OUT=half16", False),
        ("REAL=float", False),
        ("REAL=int32 TILE=64", False),
        ("REAL=float TILE=32", False),
        ("REAL=float TILE=64 MORE=1", False),
        ("REAL=no", False),
        ("", False),
    ],
)
def test_a_set_that_the_header_does_not_have_is_found(given: str, right: bool) -> None:
    wrong = nvrtc_builds.undeclared(HEADER, [f"-D{one}" for one in given.split()])
    assert (wrong is None) == right
    assert right or wrong is not None and (given or "as it is").split()[0] in wrong


def test_all_combinations_are_compiled_for_the_cards_they_are_for() -> None:
    first, second, third = nvrtc_builds.builds_in("made", HEADER)
    assert (first.oldest, second.oldest) == (80, 75)
    assert (len(list(first.every())), len(list(second.every()))) == (4 * 2, 9 + 1)
    assert [dict(m)["OUT"] for m in third.every()] == ["double", "half16", "double"]
    assert first.first() == (("REAL", "float"), ("TILE", "64"))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("// Bytes", "has no line '// Builds"),
        ("// Builds  REAL", "has 'REAL', expected MACRO=a|b"),
        ("// Builds  REAL=a from 80", "ends in 'from 80', expected 'from sm_80'"),
    ],
)
def test_a_header_that_cannot_be_read_is_an_error(line: str, says: str) -> None:
    with pytest.raises(ValueError, match="^made.cu: ") as error:
        nvrtc_builds.builds_in("made", f"// made.cu: an example.\n{line}\n")
    assert says in str(error.value)


def test_the_emulator_refuses_a_set_that_the_header_does_not_have(cuda: Cuda) -> None:
    """So every test that launches a kernel holds the package against the headers."""
    if cuda.kind == "real":
        pytest.skip("the real CuPy compiles whatever it is given")
    import cupy

    with pytest.raises(Exception, match="copy.cu is compiled with WORD=float, which no Builds"):
        cupy.RawModule(code=source("copy"), options=("-std=c++17", "-DWORD=float"))


# ---- the compiler --------------------------------------------------------------------------------


@needs_nvrtc
def test_one_file_passes_by_the_command() -> None:
    done = run("copy", "--arch", "80")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "copy.copy" in done.stdout and "nothing failed" in done.stdout


@needs_nvrtc
def test_a_file_that_is_not_there_fails() -> None:
    done = run("copy", "nowhere", "--arch", "80")
    assert done.returncode == 1
    assert "FAILED" in done.stdout and "nowhere.cu" in done.stdout


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, nvrtc.__file__, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_kernel_that_no_build_contains_is_named() -> None:
    kernels = [nvrtc.Kernel("train", (), 80, "keep", *(0,) * 5)]
    said = nvrtc.left_out(kernels, ["train"])
    names = declarations(source("train"), {}).keys() - {"keep"}
    assert sorted(said) == sorted(f"train.{name}: no build contains it" for name in names)


SPILLS = """
extern "C" __global__ void __launch_bounds__(1024, 2) crowded(const float* x, float* y) {
  float a[64], sum = 0;
#pragma unroll
  for (int k = 0; k < 64; k++) a[k] = x[threadIdx.x + 1024 * k];
#pragma unroll 1
  for (int turn = 0; turn < 9; turn++)
#pragma unroll
    for (int k = 0; k < 64; k++) a[k] = a[k] * a[(k + 7) % 64] + sum, sum += a[k];
  y[threadIdx.x] = sum;
}
"""

INDEXED = """
extern "C" __global__ void indexed(const int* x, int* y) {
  int a[40];
  for (int k = 0; k < 40; k++) a[x[k] % 40] = k;
  for (int k = 0; k < 40; k++) y[k] = a[x[k + 40] % 40];
}
"""


@needs_nvrtc
@pytest.mark.parametrize(("code", "says"), [(SPILLS, "spills "), (INDEXED, "uses a stack of ")])
def test_what_does_not_fit_into_registers_is_reported(
    code: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvrtc, "stack_allowed", lambda file: {})
    kernels = nvrtc.kernels_in(nvrtc.compiler().compile(code, 80), "made", (), 80)
    (wrong,) = nvrtc.problems(kernels, [])
    assert says in wrong
    assert "FAILS" in nvrtc.table(kernels)


@needs_nvrtc
def test_a_reason_in_the_header_lets_a_kernel_use_local_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nvrtc, "stack_allowed", lambda file: {"indexed": "an example"})
    kernels = nvrtc.kernels_in(nvrtc.compiler().compile(INDEXED, 80), "made", (), 80)
    assert not nvrtc.problems(kernels, [])


@needs_nvrtc
def test_what_does_not_compile_is_reported_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvrtc, "source", lambda file: "\n\nint broken = unknown;")
    failure = nvrtc.compiled(("made", (), 80))
    assert isinstance(failure, nvrtc.Failure)
    assert "made.cu(3)" in failure.problem and "unknown" in failure.problem


@needs_nvrtc
def test_registers_and_shared_memory_are_read() -> None:
    code = """extern "C" __global__ void one(float* y) {
      __shared__ float s[100];
      s[threadIdx.x] = y[threadIdx.x]; __syncthreads(); y[threadIdx.x] = s[99 - threadIdx.x];
    }
    extern "C" __global__ void two(float* y) { y[threadIdx.x] = 1; }"""
    kernels = nvrtc.kernels_in(nvrtc.compiler().compile(code, 80), "made", (), 80)
    assert {k.name: k.shared for k in kernels} == {"one": 400, "two": 0}
    assert all(0 < k.registers < 32 for k in kernels)
