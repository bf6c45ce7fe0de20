"""recipe: the choices that turn a data set into a trained network, and the run they make."""

from __future__ import annotations

import math
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TextIO

import numpy as np

from ..data import (
    ColourJitter,
    Compose,
    Loader,
    Normalize,
    RandomCrop,
    RandomFlip,
    RandomScale,
)
from ..device import Array
from ..infer import Predictor
from ..models import build
from ..modes import mode
from ..optim import SGD
from ..optim.schedule import Poly, Warmup
from .communicator import Communicator, One
from .loss import segmentation_loss
from .metrics import Confusion
from .start import OPTIONS, config_of, load_start, options_of
from .trainer import CHECKPOINT, Trainer


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of `minifcn train`, with their defaults.

    What is None is set as the network wants it (train/start.py), and stays None where it has no
    such option. `weights` is a file of others' weights; `known` and `normalize` are what it told.
    """

    epochs: int = 30
    batch_size: int = 8
    model: str = "fcn"
    encoder: str | None = None  # of an fcn: small
    weights: str | None = None
    lr: float | None = None
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: int = 100  # steps, at most a tenth of the run
    power: float = 0.9  # lr falls as (1 - step / steps)^power
    width: int | None = None
    depth: int | None = None
    cap: int | None = None
    skips: int | None = None
    balance: float = 0.5  # class weights (mean share / share)^balance; 0: none
    scale: tuple[float, float] = (0.7, 1.5)  # random enlargement; (1, 1): none
    jitter: float = 0.2  # brightness, contrast, saturation
    seed: int = 0
    known: dict[str, Any] = field(default_factory=dict)
    normalize: dict[str, Any] = field(default_factory=lambda: asdict(Normalize()))

    def __post_init__(self) -> None:
        """Set what is None; refuse what the network does not have."""
        fcn = self.model == "fcn"
        if fcn:
            object.__setattr__(self, "encoder", self.encoder or "small")
        options, lr = options_of(self.model, self.encoder or "")
        choices = {name: getattr(self, name) for name in OPTIONS if name not in options}
        if not fcn:
            choices["encoder"] = self.encoder
        wrong = [f"{name} is {value}" for name, value in choices.items() if value is not None]
        if wrong:
            what = f"fcn on {self.encoder}" if fcn else self.model
            raise ValueError(f"train: {', '.join(wrong)}, but {what} has no such option")
        object.__setattr__(self, "lr", lr if self.lr is None else self.lr)
        for name, value in options.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, self._told(name, value))

    def _told(self, name: str, otherwise: Any) -> Any:
        """An option of the network as its weights have it."""
        inner = self.known.get("encoder", {}) if name != "skips" else {}
        return {**self.known, **inner}.get(name, otherwise)

    def config(self, classes: int) -> dict[str, Any]:
        """What `models.build` takes."""
        options, _ = options_of(self.model, self.encoder or "")
        chosen = {name: getattr(self, name) for name in options}
        return config_of(self.model, self.encoder or "", chosen, self.known, classes)


def class_weights(dataset: Any, power: float) -> Array | None:
    """w_k = (mean share / share_k)^power, scaled so that the mean over pixels is 1.

    Classes that do not occur get 0; `power` 0 gives None: no weights.
    """
    if power == 0:
        return None
    K = dataset.classes.count
    counts = np.zeros(K, np.int64)
    for index in range(len(dataset)):
        label = dataset[index][1]
        counts += np.bincount(label[label < K].ravel(), minlength=K)[:K]
    seen = counts > 0
    share = counts[seen] / counts.sum()
    weights = np.zeros(K)
    weights[seen] = (share.mean() / share) ** power
    weights[seen] /= (weights[seen] * share).sum()
    return weights.astype(np.float32)


def prepare(
    recipe: Recipe,
    train_set: Any,
    val_set: Any | None,
    *,
    shrink: int = 1,
    run: Path | None = None,
    evaluate_every: int = 1,
    out: TextIO | None = None,
    processes: int = 1,
    communicator: Communicator | None = None,
    device: str = "cpu",
    precision: str = "float32",
    graph: bool | None = None,
) -> tuple[Trainer, Predictor]:
    """The trainer of a recipe, and the predictor that shares its model.

    `train_set` gives images and labels as the network sees them; `val_set` gives photos and labels
    at their own size, `shrink` times larger.
    """
    classes = train_set.classes
    rng = np.random.default_rng(recipe.seed)
    model = build(recipe.config(classes.count), rng)
    resumed = run is not None and (run / CHECKPOINT).is_file()
    if recipe.weights is not None and not resumed:
        told = load_start(model, recipe.weights)
        if communicator is None or communicator.rank == 0:
            print(told, file=out or sys.stderr)
    model.to(device)
    like = recipe.normalize
    normalize = Normalize(tuple(like["mean"]), tuple(like["std"]), like["order"])
    notes = {"recipe": asdict(recipe), "images": len(train_set)}
    side = min(train_set[0][0].shape[:2])
    predictor = Predictor(model, classes, normalize, shrink, side, notes=notes)
    loader = Loader(
        train_set,
        recipe.batch_size,
        seed=recipe.seed,
        transform=_transforms(recipe, train_set),
        normalize=normalize,
        drop_last=len(train_set) >= recipe.batch_size,
    )
    optimizer = SGD(
        list(model.parameters()),
        lr=recipe.lr or 0.0,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.momentum > 0,
    )
    weight = class_weights(train_set, recipe.balance)
    steps = recipe.epochs * len(loader)
    warmup = min(recipe.warmup, steps // 10)
    void = -100 if classes.void is None else classes.void
    trainer = Trainer(
        model,
        optimizer,
        loader,
        epochs=recipe.epochs,
        loss=segmentation_loss(void, weight),
        schedule=Warmup(warmup, Poly(steps - warmup, recipe.power)),
        evaluate=None if val_set is None else Evaluation(predictor, val_set),
        evaluate_every=evaluate_every,
        run=run,
        out=out,
        processes=processes,
        communicator=communicator,
        precision=precision,
        graph=graph,
    )
    return trainer, predictor


def _transforms(recipe: Recipe, train_set: Any) -> Compose:
    """Flip, scale, crop to one size, jitter. Photos of several sizes can so share a batch."""
    size, void = train_set[0][1].shape, train_set.classes.void
    chosen: list[Any] = [RandomFlip(0.5)]
    low, high = recipe.scale
    if void is None:  # no pixel may be added: none could be left uncounted
        low = max(low, 1.0)
        shapes = [train_set[index][1].shape for index in range(len(train_set))]
        size = (min(H for H, _ in shapes), min(W for _, W in shapes))
    if (low, high) != (1, 1):
        chosen.append(RandomScale(low, high))
    chosen.append(RandomCrop(size, void=void))
    if recipe.jitter:
        chosen.append(ColourJitter(recipe.jitter, recipe.jitter, recipe.jitter))
    return Compose(tuple(chosen))


@dataclass(frozen=True)
class Evaluation:
    """The scores of `predictor` on `dataset`; all processes of a training share the photos."""

    predictor: Predictor
    dataset: Any
    shared: ClassVar[bool] = True

    def __call__(self) -> dict[str, Any]:
        return summary(evaluate(self.predictor, self.dataset))


def evaluate(predictor: Predictor, dataset: Any, bar: Any = None) -> Confusion:
    """Predict every photo of `dataset` and count truth against prediction.

    In a training of several processes each counts its share, and gets the sum.
    """
    confusion, team = Confusion(predictor.classes.count), mode.communicator or One()
    for index in range(team.rank, len(dataset), team.size):
        photo, label = dataset[index]
        logits = predictor.whole(photo) if predictor.device != "cpu" else None
        if logits is not None and logits.shape[1] == confusion.classes:
            confusion.add_logits(logits, label[None], ignore=predictor.classes.void)
        else:
            predicted = predictor(photo).class_map.astype(np.int64)
            confusion.add(predicted, label.astype(np.int64), ignore=predictor.classes.void)
        if bar is not None:
            bar.advance()
    confusion.matrix = team.all_sum(confusion.matrix)
    return confusion


def summary(confusion: Confusion) -> dict[str, Any]:
    """The four scores in JSON's words; nan becomes None."""
    scores = {
        "mIoU": confusion.mean_iou,
        "pixel accuracy": confusion.pixel_accuracy,
        "class accuracy": confusion.class_accuracy,
        "fwIoU": confusion.frequency_weighted_iou,
    }
    return {name: None if math.isnan(v) else float(v) for name, v in scores.items()}
