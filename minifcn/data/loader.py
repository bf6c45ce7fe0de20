"""Batches for training: x float32 N C H W and target int64 N H W.

A batch is a function of (seed, epoch, position) alone: training resumes in the middle of an epoch
with the same bits, and a thread that prepares batches ahead of time changes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..images import UInt8
from ..shapes import ShapeError, one_of, shown, whole
from .classes import Classes
from .transforms import Transform

Batch = tuple[NDArray[np.float32], NDArray[np.int64]]


class Dataset(Protocol):
    """What FolderDataset and HotDogs have in common: image H W 3 and label H W, both uint8."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> tuple[UInt8, UInt8]: ...

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def classes(self) -> Classes: ...


@dataclass(frozen=True)
class Normalize:
    """From pixels to numbers around 0, per colour.   x = (pixel/255 - mean) / std

    The defaults are ImageNet's mean and spread: the field's habit for photos of any kind. Pixels
    are red, green, blue; with `order` "BGR" the network sees blue first, and `mean` and `std` are
    given in that order too, as OpenCV's users have them. (v - mean) / std / 255 with a mean of
    0..255 is Normalize(mean / 255, std).

    Shape   uint8 H W 3 -> float32 3 H W, or N H W 3 -> N 3 H W

    >>> pixel = np.array([[[0, 255, 51]]], dtype=np.uint8)
    >>> Normalize(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.25))(pixel).ravel().round(3)
    array([-1. ,  1. , -1.2], dtype=float32)
    >>> Normalize((0.5, 0.5, 0.5), (0.25, 0.5, 0.5), order="BGR")(pixel).ravel().round(3)
    array([-1.2,  1. , -1. ], dtype=float32)
    """

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    order: str = "RGB"

    def __post_init__(self) -> None:
        one_of("Normalize", "order", self.order, ("RGB", "BGR"))
        if len(self.mean) != 3 or len(self.std) != 3 or not all(s > 0 for s in self.std):
            raise ValueError(
                f"Normalize: mean is {self.mean} and std {self.std}, "
                f"expected three numbers each ({self.order}), those of std above 0"
            )

    def __call__(self, image: UInt8) -> NDArray[np.float32]:
        if image.dtype != np.uint8 or image.ndim not in (3, 4) or image.shape[-1] != 3:
            raise ShapeError(
                f"Normalize: image is {image.dtype} of shape {image.shape}, "
                f"expected uint8 H W 3 or N H W 3"
            )
        scale = np.array([1 / (255 * s) for s in self.std], dtype=np.float32)
        shift = np.array([-m / s for m, s in zip(self.mean, self.std, strict=True)], np.float32)
        colours = image if self.order == "RGB" else image[..., ::-1]
        planes = np.moveaxis(colours, -1, -3)  # N C H W
        x = np.empty(planes.shape, dtype=np.float32)
        np.multiply(planes, scale[:, None, None], out=x)
        x += shift[:, None, None]
        return x


@dataclass(frozen=True)
class Loader:
    """Shuffled, transformed, normalised batches of a dataset, epoch by epoch.

    `transform(rng, image, label)` gets a generator of its own for each (seed, epoch, image).
    `prefetch` batches are made ahead in a thread; 0 makes each when it is asked for.

    Shape   x: float32 N 3 H W, target: int64 N H W; void pixels keep their value (`classes.void`)

    >>> from minifcn.data import HotDogs
    >>> loader = Loader(HotDogs(10), batch_size=4)
    >>> [x.shape for x, target in loader.epoch(0)]
    [(4, 3, 96, 128), (4, 3, 96, 128), (2, 3, 96, 128)]
    """

    dataset: Dataset
    batch_size: int
    shuffle: bool = True
    seed: int = 0
    transform: Transform | None = None
    normalize: Normalize = Normalize()
    drop_last: bool = False
    prefetch: int = 1
    part: tuple[int, int] = (0, 1)  # (k, n): the k-th of n shares of every batch

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("seed", 0), ("prefetch", 0)):
            whole("Loader", name, getattr(self, name), least)
        k, n = self.part
        if not 0 <= k < n:
            raise ValueError(f"Loader: part is {self.part}, expected (k, n) with 0 <= k < n")
        if not hasattr(self.dataset, "__len__") or not hasattr(self.dataset, "classes"):
            raise TypeError(f"Loader: dataset is {shown(self.dataset)}, expected a Dataset")
        if not len(self.dataset):
            raise ValueError("Loader: dataset is empty, expected at least one image")
        if len(self) == 0:
            raise ValueError(
                f"Loader: drop_last leaves no batch: the dataset has {len(self.dataset)} images, "
                f"batch_size is {self.batch_size}"
            )

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full if self.drop_last or not rest else full + 1

    def share(self, k: int, n: int) -> Loader:
        """A loader of share k of n of every batch: as equal as possible, image by image.

        The shares side by side are the batch, each image as it would be there. A batch of fewer
        than n images leaves empty shares: x of shape 0 3 H W.

        >>> from minifcn.data import HotDogs
        >>> loader = Loader(HotDogs(5), batch_size=5)
        >>> [len(x) for k in range(2) for x, target in loader.share(k, 2).epoch(0)]
        [2, 3]
        """
        whole("Loader.share", "n", n, 1)
        if not 0 <= whole("Loader.share", "k", k, 0) < n:
            raise ValueError(f"Loader.share: k is {k}, expected 0 to {n - 1}, as n is {n}")
        return replace(self, part=(k, n))

    def order(self, e: int) -> list[int]:
        """The dataset indices in the order in which epoch e shows them."""
        count = len(self.dataset)
        if not self.shuffle:
            return list(range(count))
        # No image has the index `count`: the stream is unlike those of the images' transforms.
        rng = np.random.default_rng([self.seed, e, count])
        shuffled: list[int] = rng.permutation(count).tolist()
        return shuffled

    def epoch(self, e: int, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch e from number `start` on."""
        if e < 0 or not 0 <= start <= len(self):
            raise ValueError(
                f"Loader: epoch {e} from batch {start}, "
                f"expected an epoch of at least 0 and a batch in 0..{len(self)}"
            )
        order = self.order(e)
        n = self.batch_size
        pieces = [order[k * n : (k + 1) * n] for k in range(start, len(self))]
        return self._ahead(e, pieces) if self.prefetch else self._one_by_one(e, pieces)

    def _one_by_one(self, e: int, pieces: list[list[int]]) -> Iterator[Batch]:
        for piece in pieces:
            yield self._batch(e, piece)

    def _ahead(self, e: int, pieces: list[list[int]]) -> Iterator[Batch]:
        """Keep `prefetch` batches in the making; leaving early cancels them and ends the thread."""
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(1, thread_name_prefix="minifcn-loader") as pool:
            try:
                for piece in pieces:
                    waiting.append(pool.submit(self._batch, e, piece))
                    if len(waiting) > self.prefetch:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _batch(self, e: int, indices: list[int]) -> Batch:
        k, n = self.part
        count = len(indices)
        own = indices[count * k // n : count * (k + 1) // n]
        if not own:  # the batch's first image lends its size
            x, target = self._made(e, indices[:1])
            return x[:0], target[:0]
        return self._made(e, own)

    def _made(self, e: int, indices: list[int]) -> Batch:
        samples = [self._sample(e, i) for i in indices]
        first = samples[0][1].shape
        for i, (_, label) in zip(indices, samples, strict=True):
            if label.shape != first:
                self._refuse(indices[0], first, i, label.shape)
        images = np.stack([image for image, _ in samples])  # N H W C
        target = np.stack([label for _, label in samples]).astype(np.int64)  # N H W
        return self.normalize(images), target

    def _sample(self, e: int, i: int) -> tuple[UInt8, UInt8]:
        image, label = self.dataset[i]
        if self.transform is None:
            return image, label
        try:
            return self.transform(np.random.default_rng([self.seed, e, i]), image, label)
        except Exception as error:
            name = self.dataset.names[i]
            raise RuntimeError(
                f"Loader: transform failed on {name} (image {i}, epoch {e}): {error}"
            ) from error

    def _refuse(self, i: int, size: tuple[Any, ...], j: int, other: tuple[Any, ...]) -> None:
        one, two = self.dataset.names[i], self.dataset.names[j]
        raise ShapeError(
            f"Loader: {one} is {size[0]} x {size[1]} (H x W), but {two} in the same batch is "
            f"{other[0]} x {other[1]}; give the dataset a size, or the loader a transform "
            f"that ends in Resize or RandomCrop, or batch_size 1"
        )
