"""detect_anomaly names the first operator, layer and element that is no number, both ways."""

import numpy as np
import pytest

import minifcn as mf
from minifcn import AnomalyError
from minifcn.modes import mode


def leaf(*values: float) -> mf.Tensor:
    return mf.tensor(np.array(values), requires_grad=True)


def complaint(run: object) -> str:
    with pytest.raises(AnomalyError) as caught, mf.detect_anomaly():
        run()  # type: ignore[operator] # a function without arguments
    return str(caught.value)


def test_the_first_bad_operator_is_named_not_the_last() -> None:
    x = leaf(1.0, 0.0, 4.0)
    text = complaint(lambda: (x.log() * 2.0 + 1.0).sum())
    assert text.startswith("log: ") and "(1,)" in text and "-inf" in text
    assert "1 of 3" in text and "x: finite, 0 to 4" in text


def test_nan_and_infinity_both_count() -> None:
    x = leaf(0.0, -1.0)
    assert "nan" in complaint(lambda: x.sqrt())
    assert "inf" in complaint(lambda: x.exp() / (x * 0.0))


def test_what_came_in_bad_is_said_to() -> None:
    x = leaf(float("nan"), 1.0)
    text = complaint(lambda: x * 2.0)
    assert text.startswith("scale") and "x: 1 of 2 already not finite" in text


def test_every_input_is_described() -> None:
    a, b = leaf(1.0, -3.0), leaf(2.0, 0.0)
    text = complaint(lambda: a / b)
    assert "a: finite, -3 to 1" in text and "b: finite, 0 to 2" in text


def test_the_layer_is_named() -> None:
    x = leaf(-1.0)

    def layer() -> None:
        outer, mode.layer = mode.layer, "encoder.stage1.act"
        try:
            x.log()
        finally:
            mode.layer = outer

    assert "log in encoder.stage1.act: " in complaint(layer)


def test_a_backward_pass_names_the_forward_operator_and_its_layer() -> None:
    """d sqrt(x) / dx at 0 is infinite, though sqrt(0) is not."""
    x = leaf(0.0, 4.0)
    outer, mode.layer = mode.layer, "head"
    y = x.sqrt().sum()
    mode.layer = outer
    text = complaint(y.backward)
    assert "in backward of pow (layer head)" in text and "(0,)" in text
    assert mode.layer == outer, "restored after the error"


def test_a_module_is_named_by_its_path() -> None:
    nn = pytest.importorskip("minifcn.nn")

    class Bad(nn.Module):  # type: ignore[name-defined] # nn is imported only if it is there
        def forward(self, x: mf.Tensor) -> mf.Tensor:
            return (x * 0.0).log()

    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Identity(), Bad()))
    text = complaint(lambda: model(leaf(1.0, 2.0)))
    assert text.startswith("log in ") and "1.1" in text.split(":")[0]


def test_good_numbers_and_integers_pass() -> None:
    x = leaf(1.0, 2.0)
    with mf.detect_anomaly():
        y = (x * x).sum()
        y.backward()
        assert x.argmax(axis=0).item() == 1
    assert x.grad is not None and x.grad.tolist() == [2.0, 4.0]


def test_it_ends_with_its_block_and_nests() -> None:
    x = leaf(0.0)
    with mf.detect_anomaly():
        with mf.detect_anomaly():
            pass
        with pytest.raises(AnomalyError):
            x.log()
    assert x.log().item() == -np.inf


def test_empty_tensors_pass() -> None:
    with mf.detect_anomaly():
        assert (mf.tensor(np.zeros((0, 3))) * 2.0).shape == (0, 3)
