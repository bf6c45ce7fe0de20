"""metrics: every score of a segmentation from one confusion matrix.

    m_tp = number of pixels of true class t that were predicted as class p
    row_t = sum_p m_tp     col_p = sum_t m_tp     total = sum_tp m_tp

Scores are taken from the matrix summed over all images, never averaged over images: the mean of
the images' IoUs is another number, and depends on how the pixels are cut into images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from ..device import of, to_device, to_host
from ..shapes import shown, whole

Ints = NDArray[np.integer]
Floats = NDArray[np.float64]


class Confusion:
    """Counts of (true class, predicted class) over all pixels seen so far.

    >>> score = Confusion(2)
    >>> score.add(np.array([[0, 1, 1, 1]]), target=np.array([[0, 0, 1, 255]]), ignore=255)
    >>> score.matrix
    array([[1, 1],
           [0, 1]])
    >>> score.mean_iou
    0.5
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes = whole("Confusion", "classes", classes, 1)
        self.matrix: NDArray[np.int64] = np.zeros((classes, classes), np.int64)

    def add(self, prediction: Ints, target: Ints, ignore: int | None = None) -> None:
        """Count the pixels of a batch; those whose target is `ignore` do not count.

        Shape   prediction, target: N H W (or any other, the same for both)
        """
        for name, one in (("prediction", prediction), ("target", target)):
            if not isinstance(one, np.ndarray):
                raise TypeError(f"Confusion.add: {name} is {shown(one)}, expected a NumPy array")
        if prediction.shape != target.shape:
            raise ValueError(
                f"Confusion.add: prediction has shape {prediction.shape}, "
                f"but target has shape {target.shape}"
            )
        counted = self._check_target(target, ignore)
        self._check("prediction", prediction, counted, "")
        t = target[counted].astype(np.int64)
        p = prediction[counted].astype(np.int64)
        pairs = np.bincount(self.classes * t + p, minlength=self.classes**2)
        self.matrix += pairs.reshape(self.classes, self.classes)

    def add_logits(self, logits: Any, target: Ints, ignore: int | None = None) -> None:
        """Count the pixels of a batch by their largest logits, on the device where those are.

        Shape   logits: N K H W, of a GPU or not; target: N H W, on the host
        """
        self._check_target(target, ignore)
        k = kernels.of("Confusion.add_logits", [logits])
        self.matrix += to_host(k.confusion(logits, to_device(target, of(logits)), ignore))

    def merge(self, other: Confusion) -> None:
        """Add the counts of another part of the data (another worker, another batch)."""
        if other.classes != self.classes:
            raise ValueError(
                f"Confusion.merge: other has {other.classes} classes, but self has {self.classes}"
            )
        self.matrix += other.matrix

    @property
    def iou(self) -> Floats:
        """Intersection over union of each class; NaN where it is neither true nor predicted.

            iou_c = m_cc / (row_c + col_c - m_cc)

        Shape   K
        """
        hit = np.diag(self.matrix)
        return _ratio(hit, self.matrix.sum(axis=1) + self.matrix.sum(axis=0) - hit)

    @property
    def accuracy(self) -> Floats:
        """Share of each class's pixels that were found; NaN for a class without pixels.

            accuracy_c = m_cc / row_c

        Shape   K
        """
        return _ratio(np.diag(self.matrix), self.matrix.sum(axis=1))

    @property
    def share(self) -> Floats:
        """Share of the counted pixels that belong to each class.

            share_c = row_c / total

        Shape   K
        """
        return _ratio(self.matrix.sum(axis=1), self.matrix.sum())

    @property
    def pixel_accuracy(self) -> float:
        """sum_c m_cc / total."""
        return float(_ratio(np.trace(self.matrix), self.matrix.sum()))

    @property
    def class_accuracy(self) -> float:
        """Mean of `accuracy` over the classes that have pixels."""
        return _mean(self.accuracy)

    @property
    def mean_iou(self) -> float:
        """Mean of `iou` over the classes that are true or predicted somewhere."""
        return _mean(self.iou)

    @property
    def frequency_weighted_iou(self) -> float:
        """sum_c share_c iou_c over the classes that have pixels."""
        present = self.matrix.sum(axis=1) > 0
        if not present.any():
            return math.nan
        return float((self.share[present] * self.iou[present]).sum())

    def as_dict(self, names: Sequence[str]) -> dict[str, object]:
        """The scores as JSON knows them: plain numbers, None for NaN."""
        self._check_names("as_dict", names)
        pixels = self.matrix.sum(axis=1)
        rows = zip(names, pixels, self.share, self.accuracy, self.iou, strict=True)
        return {
            "pixel_accuracy": _plain(self.pixel_accuracy),
            "class_accuracy": _plain(self.class_accuracy),
            "mean_iou": _plain(self.mean_iou),
            "frequency_weighted_iou": _plain(self.frequency_weighted_iou),
            "pixels": int(pixels.sum()),
            "classes": [
                {
                    "name": name,
                    "pixels": int(count),
                    "share": _plain(share),
                    "accuracy": _plain(accuracy),
                    "iou": _plain(iou),
                }
                for name, count, share, accuracy, iou in rows
            ],
            "matrix": self.matrix.tolist(),
        }

    def table(self, names: Sequence[str]) -> str:
        """One line per class and the totals, in percent; "-" where a score does not exist."""
        self._check_names("table", names)
        width = max(len(name) for name in (*names, "weighted by share"))
        head = f"{'class':<{width}}  {'share %':>7}  {'accuracy %':>10}  {'IoU %':>6}"
        rule = "-" * len(head)

        def line(name: str, share: str, accuracy: float, iou: float) -> str:
            return f"{name:<{width}}  {share:>7}  {_pct(accuracy):>10}  {_pct(iou):>6}"

        shares = map(_pct, self.share)
        rows = [line(*row) for row in zip(names, shares, self.accuracy, self.iou, strict=True)]
        mean = line("mean of classes", "", self.class_accuracy, self.mean_iou)
        # Weighted by share, the accuracies of the classes sum to the pixel accuracy.
        weighted = line("weighted by share", "", self.pixel_accuracy, self.frequency_weighted_iou)
        lines = [head, rule, *rows, rule, mean, weighted]
        return "\n".join(lines)

    def _check_target(self, target: Ints, ignore: int | None) -> NDArray[np.bool_]:
        """Which pixels count."""
        counted = np.ones(target.shape, np.bool_) if ignore is None else target != ignore
        allowed = "" if ignore is None else f" or ignore = {ignore}"
        self._check("target", target, counted, allowed)
        return counted

    def _check(self, name: str, values: Ints, counted: NDArray[np.bool_], also: str) -> None:
        if values.dtype.kind not in "iu":
            raise ValueError(f"Confusion.add: {name} is {values.dtype}, expected integers")
        wrong = counted & ((values < 0) | (values >= self.classes))
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise ValueError(
                f"Confusion.add: {name} is {values[place]} at {place}, "
                f"expected 0..{self.classes - 1}{also} ({wrong.sum()} such pixels)"
            )

    def _check_names(self, method: str, names: Sequence[str]) -> None:
        if len(names) != self.classes:
            raise ValueError(
                f"Confusion.{method}: {len(names)} names, but {self.classes} classes are counted"
            )


def _ratio(a: Ints | np.int64, b: Ints | np.int64) -> Floats:
    """a / b, NaN where b is 0."""
    top, bottom = np.asarray(a, np.float64), np.asarray(b, np.float64)
    quotient = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=quotient, where=bottom > 0)
    return quotient


def _mean(scores: Floats) -> float:
    """The mean of what exists; NaN if nothing does."""
    known = scores[~np.isnan(scores)]
    return float(known.mean()) if known.size else math.nan


def _plain(score: float | np.float64) -> float | None:
    return None if math.isnan(score) else float(score)


def _pct(score: float | np.float64) -> str:
    return "-" if math.isnan(score) else f"{100 * score:.1f}"
