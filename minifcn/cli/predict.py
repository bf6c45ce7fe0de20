"""predict: Say what is where on photos and videos of any size.

RUN is a run, a file of minifcn, or weights of a known network. Large photos are shrunk to about the
size of those that the network was trained on, unless --shrink says otherwise. For each photo NAME,
or frame NAME_000001 of a video, the folder OUT gets NAME.png (the classes over the photo, with a
legend), NAME_classes.png (the class of each pixel as a palette image), and shares.json what share
each has. If OUT is a video or GIF (.mp4, .webm, .mkv, .gif), it gets all of them as one film.
Videos need PyAV (pip install minifcn[video]), GIFs do not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .arguments import number
from .common import add_device, add_sizes, check_device, open_predictor, write_json
from .frames_out import ENDINGS, FilmOut, FolderOut, place
from .stopwatch import Stopwatch
from .things import photos_of

EXAMPLES = """examples:
  minifcn predict runs/camvid street.jpg --out seen
  minifcn predict demo photos/ --out seen --device cuda
  minifcn predict espnet.pth drive.mp4 --out seen.mp4
  minifcn predict espnet.pth frames/ --out seen.gif --fps 15 --stats speed.json
  minifcn predict runs/camvid huge.jpg --out seen --shrink 1 --memory 512
"""

FEW = 20  # so many photos get a line each; of more, and of videos, the rate is shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN IMAGE... --out OUT, what the network is shown, and where to compute."""
    parser.add_argument("run_folder", metavar="RUN", help="folder of a run, or a file of weights")
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", help="photos, folders of photos, videos"
    )
    parser.add_argument(
        "--out", metavar="OUT", type=place, required=True, help="folder for the pictures, or a film"
    )
    parser.add_argument("--model", metavar="NAME", help="which network, if RUN does not tell")
    add_sizes(parser)
    parser.add_argument(
        "--fps",
        metavar="N",
        type=number(0.1),
        help="frames per second of the film (those of the video; 25)",
    )
    parser.add_argument("--stats", metavar="JSON", type=Path, help="write how long what took")
    add_device(parser, "where to compute")


@dataclass
class Item:
    """A photo or frame on its way: read, then seen, then drawn."""

    name: str  # for people
    stem: str  # of its files
    photo: Any
    seen: Any = None
    shrink: int = 1


def run(arguments: argparse.Namespace) -> int:
    """Predict and draw everything; what cannot be read is named, the others are done."""
    from ..infer.overlap import overlapped
    from ..kernels.numpy_kernels.threads import num_threads
    from ..train.interrupt import Interrupt
    from ..train.progress import Progress
    from ..train.threads import cores

    check_device(arguments.device)
    predictor = open_predictor(arguments.run_folder, arguments.model, arguments.device)
    predictor = replace(predictor, memory_limit=arguments.memory << 20)
    inputs = Inputs(photos_of(arguments.images, ("", "_classes")))
    film = arguments.out.suffix.lower() in ENDINGS
    lines = not film and not inputs.films and len(inputs.paths) <= FEW
    out: Any = FolderOut(arguments.out, predictor.classes, lines)
    if film:
        rate = arguments.fps or inputs.rate
        out = FilmOut(arguments.out, predictor.classes, rate)
    watch = Stopwatch()
    see = Seer(predictor, arguments.shrink)
    stopped = False
    with ExitStack() as stack:
        interrupt = stack.enter_context(Interrupt())
        stack.enter_context(out)
        stack.enter_context(num_threads(cores()))
        bar = (
            None if lines else stack.enter_context(Progress(inputs.count, "predict", unit="frame"))
        )
        results = overlapped(
            watch.timed("read", inputs),
            watch.timing("network", see),
            watch.timing("write", out.write),
        )
        for item in stack.enter_context(closing(results)):
            if bar is not None:
                bar.advance(ms=1000 * item.seen.seconds)
            if interrupt.asked:
                stopped = True
                break
    print(f"{out.summary()}, {watch.words()}", file=sys.stderr)
    if arguments.stats:
        facts = {"device": predictor.device, "model": type(predictor.model).__name__}
        write_json(arguments.stats, watch.facts(**facts))
    if stopped:
        raise KeyboardInterrupt
    return 1 if inputs.failed else 0


class Seer:
    """The network on one item after another."""

    def __init__(self, predictor: Any, shrink: int | None) -> None:
        self.predictor, self.shrink = predictor, shrink
        self.sized: dict[int, Any] = {}  # each measures its memory once

    def __call__(self, item: Item) -> Item:
        k = self.shrink or self.predictor.shrink_for(item.photo)
        see = self.sized.setdefault(k, replace(self.predictor, shrink=k))
        return replace(item, seen=see(item.photo), shrink=k)


class Inputs:
    """Photos and the frames of films, in order; what cannot be read is said, and `failed` counts.

    A film that breaks off has given its frames until then.
    """

    def __init__(self, paths: list[Path]) -> None:
        from ..images import ImageError
        from ..infer.frames import FrameError, open_film

        self.paths, self.failed = paths, 0
        self.films: dict[Path, Any] = {}
        self.unreadable: dict[Path, str] = {}
        for path in paths:
            try:
                film = open_film(path)
            except (ImageError, FrameError) as error:
                self.unreadable[path] = str(error)
                continue
            if film is not None:
                self.films[path] = film

    @property
    def count(self) -> int | None:
        """How many photos and frames there are, if all films say it."""
        counts = [film.count for film in self.films.values()]
        photos = len(self.paths) - len(counts) - len(self.unreadable)
        return None if None in counts else photos + sum(counts)

    @property
    def rate(self) -> float:
        """The frames per second of the first film."""
        from ..infer.frames import RATE

        return next((float(film.rate) for film in self.films.values()), RATE)

    def __iter__(self) -> Iterator[Item]:
        from ..images import ImageError, read_image
        from ..infer.frames import FrameError

        for path in self.paths:
            try:
                if path in self.unreadable:
                    raise FrameError(self.unreadable[path])
                if path not in self.films:
                    yield Item(path.name, path.stem, read_image(path))
                    continue
                for index, frame in enumerate(self.films[path], start=1):
                    yield Item(f"{path.name} {index}", f"{path.stem}_{index:06}", frame)
            except (FrameError, ImageError, OSError) as error:
                print(f"minifcn predict: {error}", file=sys.stderr)
                self.failed += 1
