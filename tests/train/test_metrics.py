"""Scores against plain loops over pixels, and by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifcn.train.metrics import Confusion


@st.composite
def batches(draw):
    """(classes, ignore, prediction, target); classes may be absent, pixels may be ignored."""
    K = draw(st.integers(1, 5))
    shape = draw(st.tuples(st.integers(0, 2), st.integers(1, 4), st.integers(1, 4)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ignore = draw(st.sampled_from([None, 255, -100, K]))
    some = rng.choice(K, draw(st.integers(1, K)), replace=False)
    target = rng.choice(some, shape)
    if ignore is not None:
        target[rng.random(shape) < 0.3] = ignore
    return K, ignore, rng.integers(0, K, shape), target


def count(K, ignore, prediction, target):
    matrix = [[0] * K for _ in range(K)]
    for t, p in zip(target.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if t != ignore:
            matrix[t][p] += 1
    return matrix


def known_mean(values):
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else math.nan


@given(batches())
def test_scores_are_those_of_plain_loops(batch):
    K, ignore, prediction, target = batch
    score = Confusion(K)
    score.add(prediction, target, ignore)
    m = count(*batch)
    assert score.matrix.dtype == np.int64 and score.matrix.tolist() == m

    total = sum(map(sum, m))
    iou, accuracy, share, weighted = [], [], [], 0.0
    for c in range(K):
        row = sum(m[c])
        union = row + sum(m[t][c] for t in range(K)) - m[c][c]
        iou.append(m[c][c] / union if union else math.nan)
        accuracy.append(m[c][c] / row if row else math.nan)
        share.append(row / total if total else math.nan)
        weighted += row / total * iou[c] if row else 0.0
    np.testing.assert_allclose(score.iou, iou, rtol=1e-12)
    np.testing.assert_allclose(score.accuracy, accuracy, rtol=1e-12)
    np.testing.assert_allclose(score.share, share, rtol=1e-12)
    hits = sum(m[c][c] for c in range(K))
    same = {
        "pixel_accuracy": hits / total if total else math.nan,
        "class_accuracy": known_mean(accuracy),
        "mean_iou": known_mean(iou),
        "frequency_weighted_iou": weighted if total else math.nan,
    }
    for name, want in same.items():
        assert getattr(score, name) == pytest.approx(want, rel=1e-12, nan_ok=True), name


def test_by_hand():
    """Truth 0 0 0 1 1, predicted 0 0 1 1 1, class 2 nowhere."""
    score = Confusion(3)
    score.add(np.array([[0, 0, 1, 1, 1]]), np.array([[0, 0, 0, 1, 1]]))
    assert score.matrix.tolist() == [[2, 1, 0], [0, 2, 0], [0, 0, 0]]
    np.testing.assert_allclose(score.iou, [2 / 3, 2 / 3, np.nan])
    np.testing.assert_allclose(score.accuracy, [2 / 3, 1, np.nan])
    np.testing.assert_allclose(score.share, [3 / 5, 2 / 5, 0])
    assert score.pixel_accuracy == pytest.approx(4 / 5)
    assert score.class_accuracy == pytest.approx(5 / 6)
    assert score.mean_iou == pytest.approx(2 / 3)
    assert score.frequency_weighted_iou == pytest.approx(2 / 3)
    assert np.nansum(score.share * score.accuracy) == pytest.approx(score.pixel_accuracy)


def test_a_class_only_predicted_has_iou_zero_and_no_accuracy():
    score = Confusion(2)
    score.add(np.array([1, 0]), np.array([0, 0]))
    assert score.iou.tolist() == [0.5, 0.0]
    assert score.accuracy[0] == 0.5 and math.isnan(score.accuracy[1])
    assert score.mean_iou == 0.25 and score.frequency_weighted_iou == 0.5


@given(batches())
def test_one_batch_is_the_merge_of_its_pixels(batch):
    K, ignore, prediction, target = batch
    whole, parts = Confusion(K), Confusion(K)
    whole.add(prediction, target, ignore)
    for p, t in zip(prediction, target, strict=True):
        part = Confusion(K)
        part.add(p, t, ignore)
        parts.merge(part)
    assert whole.matrix.tolist() == parts.matrix.tolist()


def test_counts_add_up():
    score = Confusion(2)
    for _ in range(3):
        score.add(np.array([0, 1, 1]), np.array([0, 0, 1]))
    assert score.matrix.tolist() == [[3, 3], [0, 3]]


def test_the_mean_iou_is_not_the_mean_of_images():
    """Two images of 1 and 3 wrong pixels among 4: the sum over pixels decides."""
    score = Confusion(2)
    score.add(np.array([[0, 0, 0, 1]]), np.array([[0, 0, 0, 0]]))
    first = score.mean_iou
    other = Confusion(2)
    other.add(np.array([[1, 0, 0, 0]]), np.array([[1, 1, 1, 1]]))
    second = other.mean_iou
    score.merge(other)
    assert score.mean_iou == pytest.approx((3 / 7 + 1 / 5) / 2)
    assert abs(score.mean_iou - (first + second) / 2) > 0.05


def test_the_best_prediction_scores_one():
    target = np.random.default_rng(0).integers(0, 4, (2, 5, 5))
    score = Confusion(4)
    score.add(target, target)
    assert score.pixel_accuracy == score.mean_iou == score.class_accuracy == 1
    assert score.frequency_weighted_iou == pytest.approx(1)


def test_no_pixel_no_score():
    score = Confusion(3)
    score.add(np.zeros((0, 4, 4), np.int64), np.zeros((0, 4, 4), np.int64))
    score.add(np.zeros((1, 4, 4), np.int64), np.full((1, 4, 4), 255), ignore=255)
    for name in ("pixel_accuracy", "class_accuracy", "mean_iou", "frequency_weighted_iou"):
        assert math.isnan(getattr(score, name)), name
    for name in ("iou", "accuracy", "share"):
        assert np.isnan(getattr(score, name)).all(), name


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint64])
def test_small_integer_types_do_not_overflow(dtype):
    """200 classes: 200 * 199 + 199 fits no uint8."""
    values = np.arange(200, dtype=dtype).reshape(1, 20, 10)
    score = Confusion(200)
    score.add(values, values)
    assert score.matrix.tolist() == np.eye(200).tolist()


def test_predictions_under_ignored_pixels_are_free():
    score = Confusion(2)
    score.add(np.array([0, 7]), np.array([0, 255]), ignore=255)
    assert score.matrix.sum() == 1


def test_a_value_out_of_range_is_named_with_its_place():
    target = np.zeros((2, 3, 4), np.int64)
    target[1, 2, 3] = 11
    score = Confusion(11)
    with pytest.raises(ValueError, match=r"target is 11 at \(1, 2, 3\), expected 0\.\.10 .*1 such"):
        score.add(np.zeros_like(target), target)
    with pytest.raises(ValueError, match=r"target is 11 .* expected 0\.\.10 or ignore = 255"):
        score.add(np.zeros_like(target), target, ignore=255)
    with pytest.raises(ValueError, match=r"prediction is -1 at \(0, 0, 1\), expected 0\.\.10"):
        score.add(np.array([[[0, -1]]]), np.array([[[0, 0]]]))
    assert score.matrix.sum() == 0


@pytest.mark.parametrize(
    "prediction, target, words",
    [
        (np.zeros((1, 2, 3), int), np.zeros((1, 3, 2), int), r"\(1, 2, 3\).*\(1, 3, 2\)"),
        (np.zeros((2, 2)), np.zeros((2, 2), int), "prediction is float64, expected integers"),
        (np.zeros((2, 2), int), np.zeros((2, 2)), "target is float64, expected integers"),
    ],
)
def test_add_says_what_it_wants(prediction, target, words):
    with pytest.raises(ValueError, match=f"Confusion.add: .*{words}"):
        Confusion(2).add(prediction, target)


def test_other_mistakes():
    with pytest.raises(ValueError, match="classes is 0, expected at least 1"):
        Confusion(0)
    with pytest.raises(ValueError, match="other has 3 classes, but self has 2"):
        Confusion(2).merge(Confusion(3))
    with pytest.raises(ValueError, match="Confusion.table: 1 names, but 2 classes"):
        Confusion(2).table(["a"])
    with pytest.raises(ValueError, match="Confusion.as_dict: 3 names, but 2 classes"):
        Confusion(2).as_dict(["a", "b", "c"])


@given(batches())
def test_the_dictionary_survives_json(batch):
    K, ignore, prediction, target = batch
    score = Confusion(K)
    score.add(prediction, target, ignore)
    names = [f"class {c}" for c in range(K)]
    read = json.loads(json.dumps(score.as_dict(names), allow_nan=False))
    assert read["matrix"] == score.matrix.tolist()
    assert [row["name"] for row in read["classes"]] == names
    for name in ("mean_iou", "pixel_accuracy", "class_accuracy", "frequency_weighted_iou"):
        want = getattr(score, name)
        assert read[name] is None if math.isnan(want) else read[name] == want
    for c, row in enumerate(read["classes"]):
        assert row["pixels"] == score.matrix[c].sum()
        assert (row["iou"] is None) == bool(np.isnan(score.iou[c]))


def test_the_table_lines_up_and_holds_every_class():
    score = Confusion(3)
    score.add(np.array([[0, 0, 1, 1, 1]]), np.array([[0, 0, 0, 1, 1]]))
    lines = score.table(["background", "a class with quite a long name", "absent"]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split() == ["background", "60.0", "66.7", "66.7"]
    assert lines[4].split() == ["absent", "0.0", "-", "-"]
    assert lines[6].split() == ["mean", "of", "classes", "83.3", "66.7"]
    assert lines[7].split() == ["weighted", "by", "share", "80.0", "66.7"]
