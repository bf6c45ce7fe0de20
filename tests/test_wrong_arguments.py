"""Nonsense given to what is built on the operators: the function and the argument are named.

Operators: tests/functional/test_errors_everywhere.py; layers: tests/nn/test_layer_mistakes.py.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn import data, models, nn, optim, train
from minifcn.nn import init

NONSENSE: list[Any] = [None, "a", object(), {"a": 1}]

CALLS: list[tuple[str, Callable[[Any], Any]]] = [
    ("FCN: encoder", lambda v: models.FCN(v, 3)),
    ("FCN: classes", lambda v: models.FCN(models.SmallEncoder(width=2, depth=2), v)),
    ("Confusion: classes", lambda v: train.Confusion(v)),
    ("Confusion.add: prediction", lambda v: train.Confusion(2).add(v, np.zeros(3, int))),
    ("Confusion.add: target", lambda v: train.Confusion(2).add(np.zeros(3, int), v)),
    ("clip_grad_norm: params", lambda v: optim.clip_grad_norm(v, 1.0)),
    ("clip_grad_norm: max_norm", lambda v: optim.clip_grad_norm([nn.Parameter([1.0])], v)),
    ("Poly: total", optim.Poly),
    ("Cosine: total", optim.Cosine),
    ("Step: every", optim.Step),
    ("Warmup: steps", optim.Warmup),
    ("Warmup: then", lambda v: optim.Warmup(3, v)),
    ("OneCycle: total", optim.OneCycle),
    ("SGD.step: factor", lambda v: optim.SGD([nn.Parameter([1.0])]).step(v)),
    ("groups: model", lambda v: optim.groups(v, {})),
    ("from_nhwc", nn.from_nhwc),
    ("to_hwoi", nn.to_hwoi),
    ("fans: shape", init.fans),
    ("gain: nonlinearity", init.gain),
    ("init: tensor", init.kaiming_uniform_),
    ("Loader: dataset", lambda v: data.Loader(v, 2)),
    ("Loader: batch_size", lambda v: data.Loader(data.HotDogs(1), v)),
    ("RandomFlip: p", data.RandomFlip),
    ("RandomCrop: size", data.RandomCrop),
    ("Resize: size", data.Resize),
    ("HotDogs: count", data.HotDogs),
    ("HotDogs: seed", lambda v: data.HotDogs(1, seed=v)),
    ("gradcheck: fn", lambda v: mf.gradcheck(v, mf.tensor(np.ones(2)))),
    ("adjoint_check: fn", lambda v: mf.adjoint_check(v, mf.tensor(np.ones(2)))),
]


@pytest.mark.parametrize(("start", "call"), CALLS, ids=[start for start, _ in CALLS])
def test_nonsense_is_refused_by_name(start: str, call: Callable[[Any], Any]) -> None:
    for value in NONSENSE:
        with pytest.raises((TypeError, ValueError)) as caught:
            call(value)
        text = str(caught.value)
        assert text.startswith(start) and "expected" in text, text


def test_what_describes_no_model() -> None:
    for config in (None, "fcn", ["fcn"]):
        with pytest.raises(TypeError, match="build: model is .*, expected a dict"):
            models.build(config)  # type: ignore[arg-type]  # wrong on purpose


def test_what_are_no_rules() -> None:
    with pytest.raises(TypeError, match="groups: rules is None, expected"):
        optim.groups(nn.Linear(1, 1), None)  # type: ignore[arg-type]  # wrong on purpose
