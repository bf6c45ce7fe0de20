"""Every operator as ONNX nodes: on its own samples, in onnxruntime, the same as by our kernels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifcn as mf
import minifcn.functional  # declares all operators
from minifcn import nn
from minifcn.core import Op
from minifcn.samples import fill

pytest.importorskip("onnx", reason="the extra onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the extra onnx-test is not installed")

from minifcn.interop import onnx as mo  # noqa: E402
from minifcn.interop.onnx.outward.rules import NOT_WRITTEN, RULES  # noqa: E402


class Alone(nn.Module):
    """One operator on an image; its other inputs are buffers."""

    def __init__(self, op: Op, arrays: list[Any], place: int) -> None:
        self.op, self.place, self.count = op, place, len(arrays)
        for k, array in enumerate(arrays):
            self.register_buffer(f"input_{k}", None if k == place else mf.tensor(array))

    def forward(self, x: mf.Tensor) -> mf.Tensor:
        inputs = [getattr(self, f"input_{k}") for k in range(self.count)]
        inputs[self.place] = x
        return self.op(*inputs)


def samples() -> list[Any]:
    found = []
    for name, kind in Op.registry.items():
        if kind.__module__.startswith("minifcn.") and name in RULES:
            for number, sample in enumerate(kind.samples()):
                if name == "adaptive_max_indices" and sample[0].out != (1, 1):
                    continue  # refused, see test_onnx_export.py
                found.append(pytest.param(sample, id=f"{name}-{number}"))
    return found


@pytest.mark.parametrize("sample", samples())
def test_an_operator_gives_the_same_in_onnxruntime(sample: Any, tmp_path: Path) -> None:
    op, *draws = sample
    arrays = fill(tuple(draws), np.random.default_rng(0), np.float32)
    place = next(k for k, a in enumerate(arrays) if a.dtype == np.float32)
    if op.name == "log":
        arrays[0] = abs(arrays[0])
    alone = Alone(op, arrays, place)
    mo.export(alone, tmp_path / "one.onnx", arrays[place].shape, dynamic=False)
    session = runtime.InferenceSession(tmp_path / "one.onnx")
    (y,) = session.run(None, {"image": arrays[place]})
    expected = alone(mf.tensor(arrays[place])).numpy()
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_every_operator_is_written_or_listed_with_a_reason() -> None:
    ours = {n for n, kind in Op.registry.items() if kind.__module__.startswith("minifcn.")}
    assert not set(RULES) & set(NOT_WRITTEN)
    assert ours <= set(RULES) | set(NOT_WRITTEN)
    assert set(RULES) <= ours
    assert all(NOT_WRITTEN.values())
