"""Where is the hot dog? A classifier that says what becomes a network that says where.

    python examples/where_is_the_hotdog.py PHOTOS --weights squeezenet1_1.safetensors --out seen

PHOTOS has train/hotdog, train/other, val/hotdog and val/other, each full of photos: nothing but
"there is one" and "there is none". SqueezeNet, trained on ImageNet, looks at them and stays as it
is; on its last features one 1x1 convolution learns "hot dog or not" by the mean over the photo:

    a_ij = w . f_ij + b          a = mean over i, j of a_ij          p = sigmoid(a)

The mean is taken last, so the same convolution says at every place how much of a hot dog is there:
the map a_ij, which nobody has ever taught it. How much the weights are held down is chosen on five
folds of the training photos; the photos in val are looked at once, at the end.

--out gets classifier.safetensors for `minifcn locate "hot dog"`, model.safetensors for `minifcn
predict`, `detect` and `live`, scores.json, and where.png: photos, heat and boxes.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hotdog_photos import (
    SIDE,
    Photos,
    chosen_for_page,
    middle,
    mosaic,
    page,
    photos_of,
    tile_means,
    views,
)

import minifcn as mf
import minifcn.functional as F
from minifcn import nn
from minifcn.data import Classes, Normalize
from minifcn.images import pictures_in, read_image, write_png
from minifcn.infer import Locator, Predictor
from minifcn.interop import open_model
from minifcn.models import build
from minifcn.optim import SGD
from minifcn.optim.schedule import OneCycle
from minifcn.train.progress import Progress
from minifcn.train.threads import one_blas_thread

FOLDS, COLLAGES = 5, 50  # mosaics of training photos, in each fold
DECAYS = (0.05, 0.1, 0.2, 0.4, 0.8)
STEPS, RATE = 150, 0.02
CLASSES = Classes(("other", "hot dog"), ((0, 0, 0), (255, 160, 0)))  # of a photo
PARTS = Classes(("background", "hot dog"), CLASSES.colours)  # of a pixel
NEEDED = """This example needs --weights, SqueezeNet 1.1 as trained on ImageNet (torchvision's
squeezenet1_1 as .pth or safetensors), and a folder with four folders of photos:
  train/hotdog   val/hotdog     a hot dog is on each (some hundreds, and some dozens)
  train/other    val/other      none is: other dishes, say
and optionally mosaics_val.json, 2 x 3 photos of val, one of a hot dog, and where that is:
  {"mosaics": [{"tiles": ["other/a.jpg", ... six], "hotdog": 0 to 5}, ...]}"""


@dataclass(frozen=True)
class Head:
    """a = w . f + b.   Shape   w: C"""

    w: np.ndarray
    b: float

    def __call__(self, f: np.ndarray) -> np.ndarray:
        """... C -> ..."""
        return np.asarray(f @ self.w + self.b)


def pooled(net: Any, normalize: Normalize, pictures: np.ndarray) -> np.ndarray:
    """The mean of the last features over each picture.   N H W 3 -> N C"""
    with mf.no_grad():
        return np.asarray(net.features(mf.tensor(normalize(pictures))).numpy().mean(axis=(2, 3)))


def collages(
    net: Any, normalize: Normalize, rng: np.random.Generator, photos: Photos, fold: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """More views: photos as tiles of mosaics, one of a hot dog among five others, of one fold.

    Shape   -> features M 6 C, and which photos the tiles show, M 6
    """
    paths, target = photos
    features, tiles = [], []
    with Progress(FOLDS * COLLAGES, "mosaics of train", unit="mosaic") as bar:
        for k in np.repeat(np.arange(FOLDS), COLLAGES):
            other, hotdog = (np.flatnonzero((fold == k) & (target == kind)) for kind in (0, 1))
            chosen = rng.choice(other, 6)
            chosen[rng.integers(6)] = rng.choice(hotdog)
            picture = mosaic([read_image(paths[i]) for i in chosen])
            with mf.no_grad():
                f = net.features(mf.tensor(normalize(picture)[None])).numpy()[0]  # C h w
            features.append(tile_means(f, net.grid))
            tiles.append(chosen)
            bar.advance()
    return np.stack(features), np.stack(tiles)


def known_direction(net: Any) -> np.ndarray:
    """What SqueezeNet itself takes for a hot dog rather than for another dish.   Shape   -> C

    The weights of ImageNet's class 934 minus the mean of those of its dishes, 924 .. 969.
    """
    rows = net.classifier[1].weight.numpy()[:, :, 0, 0].astype(np.float64)
    return np.asarray(rows[934] - rows[924:970].mean(axis=0))


def fit(f: np.ndarray, target: np.ndarray, decay: float, known: np.ndarray) -> Head:
    """Learn a 1x1 convolution by the mean cross-entropy and decay |v|^2 / 2, full batch.

        w = v + c r

    r is a direction that is known to help: its length c is held down 25 times less than v.
    Features are centred and divided by their spread (one number for all), and w and b are
    taken back to features as they are.

    Shape   f: N C, target: N
    """
    middle, spread = f.mean(axis=0), f.std(axis=0).mean()
    r = 5 * known / (f @ known).std()
    x = np.concatenate([(f - middle) / spread, ((f - middle) @ r)[:, None]], axis=1)
    images = mf.tensor(x.astype(np.float32)[:, :, None, None])  # N C+1 1 1
    t = mf.tensor(target.astype(np.float32)[:, None, None, None])
    conv = nn.Conv2d(x.shape[1], 1, 1, weight_init=nn.init.zeros, bias=False)
    bias = nn.Parameter(np.zeros((1, 1, 1, 1), np.float32))
    groups: list[dict[str, Any]] = [{"params": [conv.weight], "weight_decay": decay}]
    sgd = SGD([*groups, {"params": [bias]}], lr=RATE, momentum=0.95, nesterov=True)
    schedule = OneCycle(STEPS)
    for step in range(STEPS):
        sgd.factor = schedule(step)
        loss = F.binary_cross_entropy_with_logits(conv(images) + bias, t)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
    v = conv.weight.numpy().reshape(-1).astype(np.float64)
    w = v[:-1] / spread + v[-1] * r
    return Head(w, bias.item() - float(middle @ w))


def choose(
    f: np.ndarray, owner: np.ndarray, photos: Photos, fold: np.ndarray, known: np.ndarray
) -> tuple[float, Any]:
    """The decay whose heads are best on photos that they have not seen, and all that was tried.

    Each photo is left out once, with all its views, and judged by its middle, its first view.

    Shape   f: N C, owner: N (which photo it is a view of)
    """
    target = photos[1]
    first = np.unique(owner, return_index=True)[1]  # of each photo
    tried = []
    with Progress(len(DECAYS) * FOLDS, "folds of train", unit="head") as bar:
        for decay in DECAYS:
            a = np.empty(len(target))
            for k in range(FOLDS):
                seen, left = fold[owner] != k, fold == k
                a[left] = fit(f[seen], target[owner[seen]], decay, known)(f[first[left]])
                bar.advance()
            right = float(((a > 0) == target).mean())
            loss = float(np.logaddexp(0, np.where(target == 1, -a, a)).mean())
            tried.append({"decay": decay, "accuracy": round(right, 4), "loss": round(loss, 4)})
    return min(tried, key=lambda one: one["loss"])["decay"], tried


def classifier(squeezenet: Any, head: Head) -> Any:
    """SqueezeNet for two classes. Its scores go through a ReLU, which a pair of rows undoes:

    relu(a) - relu(-a) = a,  so softmax over (relu(-a), relu(a)) is sigmoid(a)
    """
    net = build({**squeezenet.config, "classes": 2})
    state = {name: t.numpy() for name, t in squeezenet.state_dict().items()}
    rows = np.stack([-head.w, head.w]).astype(np.float32)
    state["classifier.1.weight"] = rows[:, :, None, None]
    state["classifier.1.bias"] = np.array([-head.b, head.b], np.float32)
    net.load_state_dict(state)
    return net.eval()


def segmenter(squeezenet: Any, head: Head) -> Any:
    """The same at every pixel: an FCN on SqueezeNet's features, enlarged bilinearly."""
    encoder = {"name": "squeezenet1_1"}
    config = {"name": "fcn", "encoder": encoder, "classes": 2, "skips": 0, "frozen": True}
    net = build(config)
    state = {name: t.numpy() for name, t in net.state_dict().items()}
    for name, t in squeezenet.state_dict().items():
        if name.startswith("features."):
            state[f"encoder.{name}"] = t.numpy()
    rows = np.stack([-head.w / 2, head.w / 2]).astype(np.float32)
    state["scores.0.weight"] = rows[:, :, None, None]
    state["scores.0.bias"] = np.array([-head.b / 2, head.b / 2], np.float32)
    net.load_state_dict(state)
    return net.eval()


def score_photos(net: Any, normalize: Normalize, folder: Path) -> tuple[Any, np.ndarray]:
    """How many photos of a folder are told right, and the probability of each."""
    paths, target = photos_of(folder)
    p = np.empty(len(paths))
    with Progress(len(paths), "val photos", unit="photo") as bar:
        for k, path in enumerate(paths):
            with mf.no_grad():
                y = net(mf.tensor(normalize(middle(read_image(path)))[None])).numpy()[0]
            p[k] = 1 / (1 + np.exp(y[0] - y[1]))
            bar.advance()
    right = (p > 0.5) == target
    kinds = {"hot dog": right[target == 1], "other": right[target == 0], "all": right}
    return {
        kind: {"right": int(r.sum()), "of": len(r), "share": round(float(r.mean()), 4)}
        for kind, r in kinds.items()
    }, p


def score_mosaics(net: Any, normalize: Normalize, pictures: Any, hotdogs: list[int]) -> Any:
    """In how many mosaics the map's mean is largest over the tile with the hot dog."""
    right = 0
    with Progress(len(hotdogs), "mosaics of val", unit="mosaic") as bar:
        for picture, hotdog in zip(pictures, hotdogs, strict=True):
            with mf.no_grad():
                y = net.class_map(mf.tensor(normalize(picture)[None])).numpy()[0]
            right += int(tile_means(y[1:] - y[:1], net.grid).argmax()) == hotdog
            bar.advance()
    return {"right": right, "of": len(hotdogs)}


def main() -> None:
    """Look, choose, learn, save; then score what was saved."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="?", default=Path("PHOTOS"), type=Path)
    parser.add_argument("--weights", default="", help="SqueezeNet 1.1, trained on ImageNet")
    parser.add_argument("--out", type=Path, default=Path("seen"), help="folder for the results")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder, out = arguments.photos, arguments.out
    kinds = [f"{part}/{kind}" for part in ("train", "val") for kind in ("hotdog", "other")]
    missing = [k for k in kinds if not (folder / k).is_dir() or not pictures_in(folder / k)]
    if missing or not Path(arguments.weights).is_file():
        lacks = f"{folder} has no photos in {', '.join(missing)}" if missing else "no --weights"
        parser.exit(1, f"{lacks}\n{NEEDED}\n")
    start = time.perf_counter()
    opened = open_model(arguments.weights, "squeezenet1_1")
    net, normalize = opened.model, opened.normalize
    out.mkdir(parents=True, exist_ok=True)

    rng, known = np.random.default_rng(arguments.seed), known_direction(net)
    photos = photos_of(folder / "train")
    paths, target = photos
    fold = rng.permutation(len(paths)) % FOLDS
    features = []
    with Progress(len(paths), "features of train", unit="photo") as bar:
        for path in paths:
            features.append(pooled(net, normalize, views(rng, read_image(path))))
            bar.advance()
    tiles, shown = collages(net, normalize, rng, photos, fold)
    owner = np.concatenate([np.repeat(np.arange(len(paths)), len(features[0])), shown.ravel()])
    f = np.concatenate([*features, tiles.reshape(shown.size, -1)])  # N C
    decay, tried = choose(f, owner, photos, fold, known)
    for one in tried:
        chosen = "  <- chosen" if one["decay"] == decay else ""
        print(
            f"decay {one['decay']:<5} folds: {one['accuracy']:.1%}, loss {one['loss']:.3f}{chosen}"
        )
    head = fit(f, target[owner], decay, known)

    whole = Predictor(classifier(net, head), CLASSES, normalize, side=SIDE)
    whole.save(out / "classifier.safetensors")
    Predictor(segmenter(net, head), PARTS, normalize, side=SIDE).save(out / "model.safetensors")
    what = open_model(out / "classifier.safetensors").model
    scores: dict[str, Any] = {"decay": decay, "folds": tried}
    scores["val"], likely = score_photos(what, normalize, folder / "val")
    print("val: " + ", ".join(f"{k} {s['right']}/{s['of']}" for k, s in scores["val"].items()))
    locator = Locator(what, CLASSES.names, normalize, threshold=0.8, minimum_share=0.02)
    examples = [read_image(path) for path in chosen_for_page(folder / "val", likely)]
    write_png(out / "where.png", page(locator, examples))
    if (folder / "mosaics_val.json").is_file():
        plan = json.loads((folder / "mosaics_val.json").read_text(encoding="utf-8"))["mosaics"]
        pictures = [mosaic([read_image(folder / "val" / t) for t in m["tiles"]]) for m in plan]
        right = score_mosaics(what, normalize, pictures, [m["hotdog"] for m in plan])
        scores["mosaics"] = right
        print(f"mosaics: {right['right']}/{right['of']}")
        write_png(out / "mosaics.png", page(locator, pictures[:6], columns=2))
    scores["seconds"] = round(time.perf_counter() - start, 1)
    (out / "scores.json").write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    print(f"{scores['seconds']} s; {out}")


if __name__ == "__main__":
    with one_blas_thread():
        main()
