"""film: pictures into a video or an animated GIF, written whole or not at all."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..images import FilePath, UInt8, write_aside
from .frames import FrameError, load_av

if TYPE_CHECKING:
    from PIL import Image

# The first codec that PyAV's FFmpeg has.
CODECS = {
    ".mp4": ("mp4", ("libx264", "mpeg4")),
    ".mkv": ("matroska", ("libx264", "mpeg4")),
    ".webm": ("webm", ("libvpx", "libvpx-vp9")),
}
OPTIONS = {
    "libx264": {"preset": "veryfast", "crf": "20"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "crf": "12", "b": "4M"},
}
ENDINGS = (*CODECS, ".gif")


class FilmWriter:
    """`with FilmWriter("seen.mp4", 25) as film: film.write(picture)`: all pictures of one size.

    What was written until then is a whole film, whenever the block ends without an exception; with
    one, the file that was there before stays. The frames of a GIF are kept in memory until its end.
    """

    def __init__(self, path: FilePath, rate: float) -> None:
        self.path, self.rate = Path(path), rate
        self.suffix = self.path.suffix.lower()
        if self.suffix not in ENDINGS:
            raise ValueError(f"film: {path}: expected a name that ends in {', '.join(ENDINGS)}")
        if self.suffix != ".gif":
            load_av(path)
        self.size: tuple[int, ...] | None = None
        self.count = 0
        self.pages: list[Image.Image] = []  # of a GIF
        self.container: Any = None
        self.stream: Any = None
        self.stack = ExitStack()

    def __enter__(self) -> FilmWriter:
        self.stack.__enter__()
        return self

    def write(self, picture: UInt8) -> None:
        """Append a frame.   Shape   H W 3"""
        if self.size is None:
            self.size = picture.shape
            if self.suffix != ".gif":
                self._begin(*picture.shape[:2])
        if picture.shape != self.size:
            (H, W), (h, w) = self.size[:2], picture.shape[:2]
            raise FrameError(
                f"film: {self.path}: frame {self.count + 1} is {h} x {w} (H x W), "
                f"but the film is {H} x {W}"
            )
        self.count += 1
        if self.suffix == ".gif":
            self.pages.append(_page(picture))
            return
        frame = load_av(self.path).VideoFrame.from_ndarray(_even(picture), format="rgb24")
        self.container.mux(self.stream.encode(frame))

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        if kind is None and self.suffix == ".gif" and self.pages:
            self._write_gif()
        if kind is None and self.stream is not None:
            self.container.mux(self.stream.encode(None))
            self.container.close()
        elif self.container is not None:
            try:
                self.container.close()
            except Exception:  # it is thrown away: what made it so is already on its way
                pass
        self.stack.__exit__(kind, *error)

    def _begin(self, H: int, W: int) -> None:
        av = load_av(self.path)
        form, codecs = CODECS[self.suffix]
        have = [codec for codec in codecs if codec in av.codecs_available]
        if not have:
            raise FrameError(f"film: {self.path}: PyAV has none of {', '.join(codecs)}")
        file = self.stack.enter_context(write_aside(self.path))
        self.container = av.open(file, "w", format=form)
        rate = Fraction(self.rate).limit_denominator(1001)
        self.stream = self.container.add_stream(
            have[0], rate=rate, options=OPTIONS.get(have[0], {})
        )
        self.stream.width, self.stream.height = W + W % 2, H + H % 2
        self.stream.pix_fmt = "yuv420p"  # what every player shows

    def _write_gif(self) -> None:
        with write_aside(self.path) as file:
            self.pages[0].save(
                file,
                "GIF",
                save_all=True,
                append_images=self.pages[1:],
                duration=max(20, round(1000 / self.rate)),  # browsers slow down what is faster
                loop=0,
            )


def _page(picture: UInt8) -> Image.Image:
    from PIL import Image

    page = Image.fromarray(np.ascontiguousarray(picture))
    return page.quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def _even(picture: UInt8) -> UInt8:
    """The last row and column twice where there is an odd number: videos have halved colours."""
    H, W = picture.shape[:2]
    if H % 2 or W % 2:
        picture = np.pad(picture, ((0, H % 2), (0, W % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(picture)
