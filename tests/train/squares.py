"""A small segmentation that the tests of a trainer on a GPU train."""

import io

import numpy as np

from minifcn import nn
from minifcn.data import Classes, Loader
from minifcn.optim import SGD
from minifcn.optim.schedule import Poly
from minifcn.train.loss import segmentation_loss
from minifcn.train.trainer import Trainer

VOID = 3


class Squares:
    """Noise with bright squares; the label says in which third of its range each square is."""

    classes = Classes(("ground", "dim", "bright", "unknown"), void=VOID)

    def __init__(self, count, size=(8, 12), void=(), wrong=()):
        self.count, self.size, self.void, self.wrong = count, size, void, wrong
        self.names = [f"square-{index}" for index in range(count)]

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        H, W = self.size
        rng = np.random.default_rng([7, index])
        image = rng.integers(0, 60, (H, W, 3)).astype(np.uint8)
        label = np.zeros((H, W), np.uint8)
        h, w = rng.integers(0, H - 3), rng.integers(0, W - 3)
        kind = 1 + index % 2
        image[h : h + 4, w : w + 4] += np.uint8(80 * kind)
        label[h : h + 4, w : w + 4] = kind
        label[:1] = VOID
        if index in self.void:
            label[:] = VOID
        if index in self.wrong:
            label[2, 5] = 9
        return image, label


def net(dropout=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False, generator=rng),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(dropout, seed=seed),
        nn.Conv2d(6, 8, 3, padding=1, generator=rng, regularizer=nn.L2(1e-3)),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 3, 2, stride=2, generator=rng),
    )


def make(device, run=None, dataset=None, epochs=5, model=None, batch=2, **options):
    model = (model or net()).to(device)
    loader = Loader(dataset or Squares(8), batch, seed=5)
    optimizer = SGD(list(model.parameters()), lr=0.1, momentum=0.9, weight_decay=1e-3)
    return Trainer(
        model,
        optimizer,
        loader,
        epochs=epochs,
        loss=segmentation_loss(VOID, np.array([0.5, 1.0, 2.0], np.float32)),
        schedule=Poly(epochs * len(loader)),
        run=run,
        out=io.StringIO(),
        **options,
    )


def weights(trainer):
    arrays, _ = trainer.optimizer.state_dict()
    return arrays | {name: t.numpy().copy() for name, t in trainer.model.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
