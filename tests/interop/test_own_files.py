"""Model files of ours whose description was tampered with: an error that names the file."""

import copy
import tracemalloc
from typing import Any

import numpy as np
import pytest

from minifcn import files, nn
from minifcn.data import Classes, Normalize
from minifcn.files import FileError
from minifcn.infer import Predictor
from minifcn.models import build
from minifcn.models.surgery import convolutionize


def surgical():
    layers = nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    return convolutionize(nn.Sequential(*layers), 6, full_size=True)[0]


MODELS = {
    "fcn": lambda: build(
        {"name": "fcn", "encoder": {"name": "small", "width": 2, "depth": 2}, "classes": 2}
    ),
    "espnet": lambda: build({"name": "espnet", "classes": 2, "p": 1, "q": 1}),
    "unet": lambda: build({"name": "unet", "classes": 2, "width": 2}),
    "convolutional": surgical,
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Name -> arrays and description, as Predictor.save writes them."""
    made = {}
    for name, model in MODELS.items():
        path = tmp_path_factory.mktemp("own") / f"{name}.safetensors"
        Predictor(model(), Classes(("a", "b")), Normalize()).save(path)
        made[name] = files.load(path)
    return made


def opened(path, arrays, meta):
    """Whether it loads; all else than an error that names the file fails the test."""
    files.save(path, arrays, meta)
    tracemalloc.start()
    try:
        Predictor.load(path)
        return True
    except FileError as error:
        assert path.name in str(error) and len(str(error)) < 5000
        return False
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 64 << 20


@pytest.mark.parametrize("name", MODELS)
def test_the_untouched_file_loads(name, written, tmp_path):
    assert opened(tmp_path / "own.safetensors", *written[name])


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("fcn", ("model", "encoder", "depth"), 10**9),
        ("fcn", ("model", "encoder", "depth"), 25),
        ("fcn", ("model", "encoder", "depth"), 24),  # an upsampling by 2^23
        ("fcn", ("model", "encoder", "width"), 10**12),
        ("fcn", ("model", "encoder"), {"name": "resnet50"}),
        ("fcn", ("model", "classes"), 10**9),
        ("fcn", ("model", "name"), "vgg16"),
        ("espnet", ("model", "q"), 10**15),
        ("espnet", ("model", "p"), 10**15),
        ("espnet", ("model", "in_channels"), 2**63),
        ("unet", ("model", "depth"), 10**9),
        ("unet", ("model", "width"), float("inf")),
        ("convolutional", ("model", "input_size"), [10**9, 10**9]),
        ("convolutional", ("model", "input_size"), [2, 2]),
        ("convolutional", ("model", "model"), {"name": "convolutional"}),
        ("convolutional", ("model", "model", "layers"), [["0", "Linear", [10**6] * 2]]),
        ("convolutional", ("model", "model", "layers"),
         [["0", "BatchNorm2d", {"num_features": 10**12}]]),
        ("convolutional", ("model", "model", "layers"),
         [["0", "PReLU", {"num_parameters": 10**12}]]),
        ("convolutional", ("model", "model", "layers"), [["__class__", "ReLU", {}]]),
        ("convolutional", ("model", "model", "layers", 0, 1), "__import__"),
        ("convolutional", ("model", "model", "layers", 0, 2, "padding"), 10**9),
        ("espnet", ("shrink",), 10**9),
        ("espnet", ("shrink",), 0),
        ("espnet", ("side",), -3),
        ("espnet", ("std",), [0, 1, 1]),
        ("espnet", ("mean",), ["a", "b", "c"]),
        ("espnet", ("order",), "GRB"),
        ("espnet", ("classes", "names"), ["a", "a"]),
        ("espnet", ("classes", "colours"), [[1, 2]] * 2),
        ("espnet", ("format",), 99),
    ],
)  # fmt: skip
def test_a_description_that_lies_is_refused(name, place, value, written, tmp_path):
    arrays, meta = copy.deepcopy(written[name])
    inner = meta
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    assert not opened(tmp_path / "own.safetensors", arrays, meta)


@pytest.mark.parametrize("dtype", ["i4", "u1", "?", "f2", "f8"])
def test_the_kind_of_numbers_must_be_the_models(dtype, written, tmp_path):
    arrays, meta = written["fcn"]
    name = next(key for key in arrays if key.endswith("weight"))
    changed = {**arrays, name: arrays[name].astype(dtype)}
    assert opened(tmp_path / "own.safetensors", changed, meta) == (dtype in ("f2", "f8"))


def places(value, path=()):
    """The paths of all values in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, (dict, list)):
            yield from places(inner, (*path, key))


NONSENSE: list[Any] = [
    None,
    0,
    -1,
    3,
    10**9,
    2**63,
    1.5,
    "x",
    "",
    [],
    [[]],
    {},
    {"name": "fcn"},
    True,
]


@pytest.mark.parametrize("name", MODELS)
def test_random_nonsense_is_an_error_or_another_model(name, written, tmp_path):
    rng, told = np.random.default_rng(0), 0
    for _ in range(60):
        arrays, meta = copy.deepcopy(written[name])
        every = list(places(meta))
        *path, last = every[rng.integers(len(every))]
        inner = meta
        for key in path:
            inner = inner[key]
        inner[last] = copy.deepcopy(NONSENSE[rng.integers(len(NONSENSE))])
        told += not opened(tmp_path / "own.safetensors", arrays, meta)
    assert told > 20
