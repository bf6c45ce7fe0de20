"""Run tests of the CUDA kernels under a sanitizer, on the emulator.

    python tests/cuda_emu/sanitize.py address             out of bounds, misaligned, undefined
    python tests/cuda_emu/sanitize.py thread              races between the threads of a block
    python tests/cuda_emu/sanitize.py address --short     the selection that every CI run makes
    python tests/cuda_emu/sanitize.py thread tests/test_contract.py -k "conv2d"

Kernels are compiled with -fsanitize, and Python runs with the sanitizer's library loaded first.
What a sanitizer finds ends the run at once, with the line of the kernel.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KINDS = {  # command -> what g++ is told, and the library that must be loaded first
    "address": ("address,undefined", "libasan.so"),
    "thread": ("thread", "libtsan.so"),
}
FOUND = {  # what is in a report; a crash is one for the address sanitizer alone
    "address": ("ERROR: AddressSanitizer", "runtime error:"),
    "thread": ("WARNING: ThreadSanitizer:",),
}

# What runs if no tests are named: everything small that launches kernels.
ALL = [
    "tests/test_contract.py::test_the_fast_kernel_equals_the_loops",
    "tests/test_contract.py::test_no_images_give_no_images",
    "tests/kernels/test_cuda_edges.py",
    "tests/kernels/test_cuda_tensor.py::test_a_sum_in_parts",
    "tests/kernels/test_cuda_tensor.py::test_columns_of_several_tiles",
]
# `--short`: one operator or two of every family, in float32.
OPS = (
    "add", "amax", "avg_pool2d", "batch_norm", "batch_norm_grad", "conv2d", "conv2d_weight",
    "conv_transpose2d", "cross_entropy", "dropout", "fold", "interpolate", "label_mean", "mat_mul",
    "max_pool2d", "permute", "scatter_add", "softmax", "sum_to", "take_along",
)  # fmt: skip
SHORT = [f"{ALL[0]}[cuda-{name}-0-float32]" for name in OPS]
SHORT += ["tests/kernels/test_cuda_tensor.py::test_columns_of_several_tiles[float16]"]

NO_RANDOM_ADDRESSES = 0x0040000  # of personality(2); TSan wants the usual places


def library(kind: str) -> Path:
    """The sanitizer's library, where g++ has it."""
    name = KINDS[kind][1]
    said = subprocess.run(
        [os.environ.get("CXX", "g++"), f"-print-file-name={name}"], capture_output=True, text=True
    )
    path = Path(said.stdout.strip())
    if not path.is_absolute():
        raise FileNotFoundError(f"g++ has no {name}; install the sanitizers of your compiler")
    return path


def environment(kind: str, order: int = 0) -> dict[str, str]:
    """What a process needs whose kernels are compiled with a sanitizer; "" for none.

    Options that pytest finds in the environment are those of the outer run, and not passed on.
    """
    own = {
        **os.environ,
        "CUDA_EMU_ORDER": str(order),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    own.pop("PYTEST_ADDOPTS", None)
    if kind:
        own |= {
            "CUDA_EMU_SANITIZE": KINDS[kind][0],
            "LD_PRELOAD": str(library(kind)),
            # Python keeps memory until its end; that is no leak.
            "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
            "TSAN_OPTIONS": "halt_on_error=1:report_signal_unsafe=0",
        }
    return own


def report(kind: str, printed: str) -> str:
    """The first line of a sanitizer's report, or nothing."""
    marks = FOUND.get(kind, ())
    return next((line for line in printed.splitlines() if any(m in line for m in marks)), "")


def same_addresses() -> None:
    """Load everything where it is expected; some kernels of Linux shuffle more than TSan bears."""
    ctypes.CDLL(None).personality(NO_RANDOM_ADDRESSES)  # where that is forbidden, try without


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in KINDS:
        print(__doc__)
        return 2
    kind, *given = sys.argv[1:]
    options = [one for one in given if one != "--short"]
    named = any((ROOT / one.partition("::")[0]).exists() for one in options)
    tests = [] if named else SHORT if "--short" in given else ALL
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider"]
    command += ["-k", "not cpu", *options, *tests]
    print(f"kernels compiled with -fsanitize={KINDS[kind][0]}", flush=True)
    return subprocess.run(
        command, cwd=ROOT, env=environment(kind), preexec_fn=same_addresses
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
