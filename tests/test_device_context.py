"""Where tensors are made; what is said where there is no GPU, CuPy being played by small fakes."""

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn import nn
from minifcn.device import compiler_error, cupy, is_floating, is_half
from minifcn.modes import mode

with_bfloat16 = pytest.mark.skipif(find_spec("ml_dtypes") is None, reason="needs ml_dtypes")


class FakeArray:
    """An array that is not NumPy's and says that it lives in cupy."""

    def __init__(self, host: Any) -> None:
        self.host = np.array(host)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.host, name)


FakeArray.__module__ = "cupy"


def fake_cupy(version: str = "14.2.0", devices: Any = 1) -> ModuleType:
    """As much of CuPy as moving an array takes."""

    def count() -> int:
        if isinstance(devices, str):
            raise RuntimeError(devices)
        return int(devices)

    module, stream = ModuleType("cupy"), SimpleNamespace(is_capturing=lambda: False)
    module.__dict__.update(
        __version__=version,
        cuda=SimpleNamespace(
            runtime=SimpleNamespace(getDeviceCount=count), get_current_stream=lambda: stream
        ),
        asarray=FakeArray,
        asnumpy=lambda a: getattr(a, "host", a),  # its views are NumPy's
    )
    return module


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """install(module): CuPy is that module, or missing if it is None."""
    cupy.cache_clear()
    yield lambda module: monkeypatch.setitem(sys.modules, "cupy", module)
    cupy.cache_clear()


MAKERS = {
    "tensor": lambda **o: mf.tensor([1.0, 2.0], **o),
    "zeros": lambda **o: mf.zeros(2, 3, **o),
    "ones": lambda **o: mf.ones((2,), **o),
    "full": lambda **o: mf.full((2,), 7, **o),
    "arange": lambda **o: mf.arange(3, **o),
    "rand": lambda **o: mf.rand(2, generator=np.random.default_rng(0), **o),
    "randn": lambda **o: mf.randn(2, generator=np.random.default_rng(0), **o),
}


@pytest.mark.parametrize("name", MAKERS)
def test_everything_is_made_where_it_is_asked_for(name: str, cuda: Any) -> None:
    make = MAKERS[name]
    assert make().device == "cpu", "unless told otherwise"
    assert make(device="cuda").device == "cuda"
    with mf.device("cuda"):
        assert make().device == "cuda"
        assert make(device="cpu").device == "cpu"
    assert make().device == "cpu"
    assert np.array_equal(make(device="cuda").numpy(), make().numpy())
    assert make(device=mf.device("cuda")).device == "cuda", "a device is its name"


LAYERS = {
    "Conv2d": lambda **o: nn.Conv2d(1, 2, 3, **o),
    "ConvTranspose2d": lambda **o: nn.ConvTranspose2d(1, 2, 3, **o),
    "Linear": lambda **o: nn.Linear(3, 2, **o),
    "BatchNorm2d": lambda **o: nn.BatchNorm2d(2, **o),
    "PReLU": lambda **o: nn.PReLU(2, **o),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_made_there_too(name: str, cuda: Any) -> None:

    def places(layer: nn.Module) -> set[str]:
        return {t.device for t in (*layer.parameters(), *layer.buffers())}

    make = LAYERS[name]
    with mf.device("cuda"):
        assert places(make()) == {"cuda"}
        assert places(make(device="cpu")) == {"cpu"}
    assert places(make()) == {"cpu"}
    assert places(make(device="cuda")) == {"cuda"}


def test_blocks_nest_and_are_left_by_errors(cuda: Any) -> None:
    outside = mode.device
    with pytest.raises(KeyError), mf.device("cuda"):
        with mf.device("cpu"):
            assert mf.zeros(1).device == "cpu"
        assert mf.zeros(1).device == "cuda"
        raise KeyError
    assert mode.device == outside == "cpu"


def test_a_function_can_be_decorated(cuda: Any) -> None:
    @mf.device("cuda")
    def make() -> str:
        return mf.zeros(1).device

    assert [make(), make(), mf.zeros(1).device] == ["cuda", "cuda", "cpu"]


def test_a_copy_of_a_tensor_stays_with_it(cuda: Any) -> None:
    x = mf.tensor([1.0], device="cuda")
    assert mf.tensor(x).device == "cuda"
    with mf.device("cuda"):
        assert mf.tensor(mf.tensor([1.0], device="cpu")).device == "cpu"


def test_other_names_are_refused() -> None:
    one = mf.tensor([1.0])
    made = (
        lambda: mf.device("gpu"),
        lambda: mf.zeros(1, device="cuda:0"),
        lambda: one.to("cuda:0"),
    )
    for make in made:
        with pytest.raises(ValueError) as caught:
            make()
        for fact in ("device: name is", "'cpu'", "'cuda'"):
            assert fact in str(caught.value)


# ---- what is missing -----------------------------------------------------------------------------

NO_DRIVER = "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime"
NO_DEVICE = "cudaErrorNoDevice: no CUDA-capable device is detected"

MISSING = {
    "CuPy": (None, ["needs CuPy", "not installed", "minifcn[cuda12]", "minifcn[cuda13]"]),
    "a new CuPy": (fake_cupy("13.6.0"), ["CuPy 14", "13.6.0 is installed", "minifcn[cuda12]"]),
    "a driver": (fake_cupy(devices=NO_DRIVER), ["NVIDIA driver", "missing or older", "install"]),
    "a GPU": (fake_cupy(devices=NO_DEVICE), ["needs a GPU", "nvidia-smi", "CUDA_VISIBLE_DEVICES"]),
    "any GPU": (fake_cupy(devices=0), ["needs a GPU", "nvidia-smi"]),
    "luck": (fake_cupy(devices="cudaErrorUnknown: ?"), ["does not start", "cudaErrorUnknown"]),
}


@pytest.mark.parametrize("what", MISSING)
def test_what_is_missing_is_said_in_one_sentence(what: str, install: Any) -> None:
    module, facts = MISSING[what]
    install(module)
    with pytest.raises(RuntimeError) as caught:
        mf.zeros(2, device="cuda")
    said = str(caught.value)
    for fact in ("device: 'cuda'", *facts):
        assert fact in said
    assert "\n" not in said and ". " not in said and not said.endswith(".")
    assert not mf.cuda.is_available()
    assert mf.cuda.why_not() == said


def test_a_cupy_that_breaks_on_import_is_told_from_none(
    install: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> Any:
        raise ImportError("libcudart is of another make", name="cupy_backends")

    install(None)
    monkeypatch.setattr("importlib.import_module", broken)
    assert "cannot be imported (libcudart is of another make)" in mf.cuda.why_not()


def test_a_gpu_that_is_there_is_looked_for_once(install: Any) -> None:
    asked = []

    def count() -> int:
        asked.append(1)
        return 1

    module = fake_cupy()
    module.cuda.runtime.getDeviceCount = count
    install(module)
    assert mf.cuda.is_available() and mf.cuda.why_not() == ""
    mf.zeros(1, device="cuda")
    assert asked == [1]


class CompileException(Exception):  # noqa: N818 # its name
    """CuPy's, when NVRTC refuses a source."""


class DynamicLibNotFoundError(RuntimeError):
    """cuda-pathfinder's, when a library of the toolkit is nowhere."""


COMPILERS = {
    "headers": CompileException('f.cu(1): could not open source file "cuda_fp16.h"'),
    "header files": RuntimeError("Failed to find CUDA headers in any known location"),
    "NVRTC": DynamicLibNotFoundError("Failure finding libnvrtc.so"),
    "compiler": ImportError("libnvrtc.so.13: cannot open shared object file"),
}


@pytest.mark.parametrize("what", COMPILERS)
def test_a_missing_part_of_the_toolkit_is_named(what: str) -> None:
    said = compiler_error(COMPILERS[what])
    wanted = "header files" if "header" in what else "NVRTC"
    assert isinstance(said, RuntimeError) and said is not COMPILERS[what]
    for fact in ("device: 'cuda'", wanted, "missing", "minifcn[cuda12]", "minifcn[cuda13]"):
        assert fact in str(said)


def test_a_mistake_in_a_kernel_stays_what_it_is() -> None:
    error = CompileException("add.cu(3): error: expected a ';'")
    assert compiler_error(error) is error


# ---- bfloat16 ------------------------------------------------------------------------------------


def test_which_types_have_fractions() -> None:
    assert [is_floating(np.dtype(d)) for d in ("f2", "f4", "f8")] == [True] * 3
    assert not any(is_floating(np.dtype(d)) for d in ("i4", "u1", "?", "V2"))
    assert [is_half(np.dtype(d)) for d in ("f2", "f4", "i2", "V2")] == [True, False, False, False]


@with_bfloat16
def test_an_image_in_bfloat16_is_made_converted_and_moved(device: str) -> None:
    image = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype("f4")
    x = mf.tensor(image, dtype="bfloat16", device=device)
    for y in (x, x.cpu(), x.clone() if device == "cuda" else x):
        assert y.dtype == mf.bfloat16
        assert np.abs(y.float().numpy() - image).max() <= 2.0**-8 * np.abs(image).max()


@with_bfloat16
def test_bfloat16_comes_and_goes() -> None:
    x = mf.tensor([1.0, 3.14159], dtype="bfloat16")
    assert x.dtype == mf.bfloat16
    assert is_floating(x.dtype) and is_half(x.dtype)
    assert x.astype("float32").tolist() == [1.0, 3.140625]
    assert "bfloat16" in repr(x)
    y = mf.tensor([1.0], requires_grad=True)
    z = y.astype(mf.bfloat16)
    assert z.dtype == mf.bfloat16
    assert mf.grad(z.float(), y)[0].dtype == np.float32
    assert mf.zeros(2, dtype=mf.bfloat16).numpy().dtype == mf.bfloat16


@with_bfloat16
@pytest.mark.parametrize("call", [lambda x: x + x, lambda x: x.relu(), lambda x: x.sum()])
def test_the_cpu_computes_nothing_in_bfloat16(call: Any) -> None:
    with pytest.raises(TypeError) as caught:
        call(mf.tensor([1.0], dtype="bfloat16"))
    for fact in ("bfloat16", "no kernels on the CPU", ".to('cuda')", ".astype('float32')"):
        assert fact in str(caught.value)


def test_a_missing_ml_dtypes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    for want in (lambda: mf.bfloat16, lambda: mf.zeros(1, dtype="bfloat16")):
        with pytest.raises(RuntimeError) as caught:
            want()
        for fact in ("bfloat16 needs", "ml_dtypes", "pip install"):
            assert fact in str(caught.value)
