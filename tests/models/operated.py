"""Classifiers for the tests of surgery, and how far two results lie apart."""

import numpy as np

import minifcn as mf
from minifcn import nn
from minifcn.models.surgery import difference


def rng(seed=0):
    return np.random.default_rng(seed)


def stirred(model, seed=0):
    """Weights and running statistics that are far from 0 and 1, and eval mode."""
    draw = rng(seed)
    with mf.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.dtype == np.float32:
                low, high = (0.5, 2) if "var" in name else (-0.3, 0.3)
                values = draw.uniform(low, high, tensor.shape)
                model.load_state_dict({name: values.astype(np.float32)}, strict=False)
    return model.eval()


def apart(got, wanted):
    """The largest difference, in units of the largest number; rounding is some 1e-7."""
    return np.abs(got - wanted).max() / np.abs(wanted).max()


def gap(model, network):
    """The same, for logits on the training size."""
    seen = difference(model, network)
    assert seen.scale > 0.01
    return seen.largest / seen.scale


def image(*shape, seed=1):
    return rng(seed).standard_normal(shape).astype(np.float32)


def run(model, x):
    with mf.no_grad():
        return model(mf.tensor(x)).numpy()


def trunk(padding=0):
    """13 x 11 -> 5 x 4 without padding, by stride 2; the pooling leaves a row and a column out."""
    return [
        nn.Conv2d(3, 6, 3, padding=padding),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 1),
        nn.ReLU(),
    ]


HEADS = {
    "flatten, linear": [nn.Flatten(), nn.Linear(8 * 5 * 4, 3)],
    "three linear": [
        nn.Flatten(), nn.Linear(8 * 5 * 4, 7), nn.ReLU(), nn.Dropout(), nn.Linear(7, 5), nn.Tanh(),
        nn.Linear(5, 3, bias=False),
    ],
    "global mean": [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)],
    "mean, no flatten's name": [nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Dropout(),
                                nn.Linear(8, 6), nn.LeakyReLU(), nn.Linear(6, 3)],
    "its own size": [nn.AdaptiveAvgPool2d((5, 4)), nn.Flatten(), nn.Linear(8 * 5 * 4, 3)],
    "bins that divide": [nn.AdaptiveAvgPool2d((5, 2)), nn.Flatten(), nn.Linear(8 * 5 * 2, 3)],
    "one row of bins": [nn.AdaptiveAvgPool2d((1, 2)), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)],
    "bins of two sizes": [nn.AdaptiveAvgPool2d((3, 3)), nn.Flatten(), nn.Linear(8 * 9, 3)],
    "more bins than cells": [nn.AdaptiveAvgPool2d((7, 4)), nn.Flatten(), nn.Linear(8 * 28, 3)],
    "mean of 5 x 2": [nn.AvgPool2d((5, 2)), nn.Flatten(), nn.Linear(8 * 2, 3)],
    "mean with a rest": [nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8 * 4, 3)],
    "scores, then a mean": [nn.Conv2d(8, 3, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()],
    "1x1 behind the mean": [nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 9, 1), nn.BatchNorm2d(9),
                            nn.ReLU(), nn.Flatten(), nn.Linear(9, 3)],
    "softmax": [nn.Flatten(), nn.Linear(160, 3), nn.Softmax(-1)],
}  # fmt: skip
