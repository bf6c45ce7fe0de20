"""ONNX's own tests: what we have all operators for passes, but for a list with reasons."""

import fnmatch
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifcn as mf

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")

from tests.interop import onnx_cases as cases  # noqa: E402


def test_every_case_passes_or_is_listed() -> None:
    check("cpu")


@pytest.mark.slow
def test_every_case_passes_or_is_listed_on_a_gpu(cuda: object) -> None:
    with mf.device("cuda"):
        check("cuda")


def check(device: str) -> None:
    failed, passed = [], []
    for case in cases.all_cases():
        if cases.unknown_operators(case):
            continue
        if cases.reason(case, device):
            passed += [case.name] if cases.passes(case) else []
            continue
        try:
            cases.run(case)
        except Exception as error:
            failed.append(f"{case.name}: {type(error).__name__}: {error}")
    assert not failed, "these fail and are not listed:\n" + "\n".join(failed)
    assert not passed, f"these pass and are listed as left out: {passed}"


def test_what_is_listed_is_there() -> None:
    found = list(cases.all_cases())
    lacking = set().union(*(cases.unknown_operators(case) for case in found))
    listed = [name for names in cases.left_out()["operators"].values() for name in names.split()]
    assert sorted(listed) == sorted(lacking), "the operators that we do not have, each once"
    known = [case.name for case in found if not cases.unknown_operators(case)]
    for pattern in [p for part in ("cases", "cpu", "cuda") for p in cases.left_out()[part]]:
        assert fnmatch.filter(known, pattern), f"{pattern} names no case"


def test_the_page_tells_the_counts(root: Path) -> None:
    page = (root / "docs" / "onnx.md").read_text(encoding="utf-8")
    version = re.search(r"onnx (\d+\.\d+)", page)
    assert version is not None
    if not onnx.__version__.startswith(version[1]):
        pytest.skip(f"the page counts the cases of onnx {version[1]}, not {onnx.__version__}")
    assert [row for row in cases.rows() if row not in page] == []


LIGHT = (
    "alexnet densenet121 inception_v1 inception_v2 resnet50 shufflenet squeezenet vgg19 zfnet512"
)


def randomised(model: Any) -> None:
    """The light models' weights are all one number; random ones tell layers apart."""
    rng = np.random.default_rng(0)
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in list(model.graph.node):
        if node.op_type == "ConstantOfShape":
            shape = tuple(int(n) for n in constants[node.input[0]])
            fan = max(int(np.prod(shape[1:])), 1)
            values = rng.uniform(0.5, 1.5, shape)
            if len(shape) > 1:
                values = rng.standard_normal(shape) * np.sqrt(2 / fan)
            made = onnx.numpy_helper.from_array(values.astype(np.float32), node.output[0])
            model.graph.initializer.append(made)
            model.graph.node.remove(node)


@pytest.mark.slow
@pytest.mark.parametrize("name", LIGHT.split())
def test_whole_networks_of_others_run(name: str, tmp_path: Path) -> None:
    """AlexNet to DenseNet as the onnx package has them, with random weights, in two runtimes."""
    runtime = pytest.importorskip("onnxruntime", reason="the extra onnx-test is not installed")
    from minifcn.interop.onnx import load

    folder = Path(onnx.__file__).parent / "backend/test/data/light"
    (file,) = folder.glob(f"light_*{name}.onnx")
    model = onnx.load(file)
    randomised(model)
    onnx.save(model, tmp_path / "light.onnx")
    network: Any = load(tmp_path / "light.onnx")
    ((title, shape),) = network.plan.inputs.items()
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    with mf.no_grad():
        y = network(x).numpy()
    quiet = runtime.SessionOptions()
    quiet.log_severity_level = 3
    session = runtime.InferenceSession(tmp_path / "light.onnx", quiet, ["CPUExecutionProvider"])
    (expected,) = session.run(None, {title: x})
    assert expected.std() > 0
    assert abs(y - expected).max() <= 1e-4 * abs(expected).max()
    assert len(list(network.parameters())) > 10
