"""frames: the pictures of a video or an animation, one after the other.

Videos are read by PyAV (`pip install minifcn[video]`), animated GIF and WebP by Pillow. Frames come
upright, as RGB, in the order in which they are shown; none is skipped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..images import FilePath, UInt8, opened, to_rgb

if TYPE_CHECKING:
    from PIL import Image

VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ogv")
ANIMATIONS = (".gif", ".webp")
RATE = 25.0  # frames per second, where a file does not say it

ENOUGH = 0.9  # of the frames that a file says it has; it counts them by its length in seconds


class FrameError(ValueError):
    """A video that cannot be read, or not to its end; names the file, and the frame from 1 on."""


@dataclass(frozen=True)
class Film:
    """Iterating reads the file anew, frame by frame.   Shape   H W 3 each"""

    path: Path
    rate: float  # frames per second
    count: int | None  # how many there are, as far as the file says

    def __iter__(self) -> Iterator[UInt8]:
        read = _read_animation if self.path.suffix.lower() in ANIMATIONS else _read_video
        number = 0
        try:
            for number, frame in enumerate(read(self.path), start=1):  # noqa: B007
                yield frame
        except _mistakes() as error:
            words = getattr(error, "strerror", None) or str(error)
            raise FrameError(
                f"frames: {self.path}: frame {number + 1} cannot be decoded ({words})"
            ) from error
        if not number:
            raise FrameError(f"frames: {self.path}: has no frame")
        if self.count and number < ENOUGH * self.count - 1:
            raise FrameError(
                f"frames: {self.path}: breaks off after frame {number} of about {self.count}"
            )


def open_film(path: FilePath) -> Film | None:
    """The film in a file; None for a photo, and for an animation of one frame."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in ANIMATIONS:
        with opened("frames", path, path) as image:
            count = int(getattr(image, "n_frames", 1))
            spent = _duration(image, count)
        return Film(path, 1000 * count / spent, count) if count > 1 else None
    if suffix not in VIDEOS:
        return None
    with _container(path) as container:
        try:
            stream = container.streams.video[0]
            rate, known = float(stream.average_rate or RATE), stream.frames
        except _mistakes() as error:
            raise _unreadable(path, error) from error
        if not known and container.duration:  # in millionths of a second
            known = round(container.duration / 1e6 * rate)
    return Film(path, rate, known or None)


def _duration(image: Image.Image, count: int) -> float:
    """Of all frames, in milliseconds; a frame that stands still is stored once, for longer."""
    total = 0.0
    for number in range(count):
        try:
            image.seek(number)
            image.load()  # only then a WebP says it
        except (OSError, ValueError, SyntaxError):  # a damaged one: who reads it will say so
            break
        total += float(image.info.get("duration") or 1000 / RATE)
    return total or 1000 / RATE


def load_av(path: FilePath) -> Any:
    """PyAV; where it is not installed, the file that needs it is named."""
    try:
        import av
    except ImportError:
        raise FrameError(
            f"frames: {path}: videos need PyAV: pip install minifcn[video]; "
            f"animated GIF works without it"
        ) from None
    return av


def _container(path: Path) -> Any:
    av = load_av(path)
    if not path.is_file():
        raise FileNotFoundError(f"frames: {path}: no such file")
    try:
        container = av.open(str(path))
    except _mistakes() as error:
        raise _unreadable(path, error) from error
    if not container.streams.video:
        container.close()
        raise FrameError(f"frames: {path}: has no video in it")
    return container


def _mistakes() -> tuple[type[Exception], ...]:
    """What a damaged file makes Pillow and PyAV raise."""
    av = sys.modules.get("av")
    return (OSError, ValueError, *([] if av is None else [av.error.FFmpegError]))


def _unreadable(path: Path, error: Exception) -> FrameError:
    words = getattr(error, "strerror", None) or error
    return FrameError(f"frames: {path}: is no video that can be read ({words})")


def _read_video(path: Path) -> Iterator[UInt8]:
    with _container(path) as container:
        for frame in container.decode(container.streams.video[0]):
            picture: UInt8 = frame.to_ndarray(format="rgb24")
            turns = round(getattr(frame, "rotation", 0) / 90)  # a phone that was held upright
            yield np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def _read_animation(path: Path) -> Iterator[UInt8]:
    with opened("frames", path, path) as image:
        for number in range(int(getattr(image, "n_frames", 1))):
            image.seek(number)
            yield np.array(to_rgb(image, path))
