"""One infinite value among a batch: its channel's mean is infinite, and no other channel knows."""

from typing import Any

import numpy as np
import pytest

import minifcn as mf
from minifcn import functional as F


@pytest.mark.parametrize("size", [4, 40])  # small, and by rows
@pytest.mark.parametrize("row", [0, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_infinite_value(size: int, row: int, dtype: Any) -> None:
    x = np.random.default_rng(0).standard_normal((2, 5, size, size)).astype(dtype)
    clean = x.copy()
    x[1, 2, row, 1] = -np.inf
    means, variances = (mf.tensor(np.zeros(5, dtype)) for _ in range(2))
    y = F.batch_norm(mf.tensor(x), means, variances, training=True, momentum=1.0).numpy()
    assert means.numpy()[2] == -np.inf
    assert np.isnan(variances.numpy()[2])
    assert np.isnan(y[:, 2]).all()
    others = [0, 1, 3, 4]
    expected = F.batch_norm(mf.tensor(clean), None, None, training=True).numpy()
    assert np.allclose(y[:, others], expected[:, others], atol=1e-5)
