"""The same bits, in whatever order a GPU runs blocks, warps and lanes.

On a GPU nobody can choose that order, so this is a test for the emulator: it runs all blocks,
warps and lanes from the last to the first. Sums made by atomics show, and threads that write to one
place.
"""

from typing import Any

import numpy as np
import pytest

from minifcn.checks import Case, cases
from tests.cuda_emu import build
from tests.cuda_emu.find import Cuda
from tests.devices import host, kernels_of, native, on

BACKWARDS = 3  # blocks and warps, and lanes


@pytest.mark.parametrize("case", cases(), ids=str)
def test_the_order_of_threads_changes_no_bit(
    case: Case, cuda: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    if cuda.kind == "real":
        pytest.skip("a GPU chooses its order itself")
    arrays = case.arrays(dtype=np.float32)
    forwards = bits(case, arrays)
    monkeypatch.setattr(build, "ORDER", BACKWARDS)
    assert bits(case, arrays) == forwards


def bits(case: Case, arrays: list[Any]) -> list[bytes]:
    op = native(case.op, "cuda")
    out = op.forward(kernels_of("cuda"), *(on("cuda", a) for a in arrays))
    return [host(one).tobytes() for one in (out if type(out) is tuple else (out,))]
