"""frames_out: where the predictions of `minifcn predict` go: pictures in a folder, or one film."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import folder
from .common import count, write_json

if TYPE_CHECKING:
    from .predict import Item

ENDINGS = (".mp4", ".mkv", ".webm", ".gif")
QUICK = 1  # level of compression of the pictures


def place(text: str) -> Path:
    """A folder for results, or a film by its ending; its own folder may be missing."""
    path = Path(text)
    if path.suffix.lower() not in ENDINGS:
        return folder(text)
    if path.is_dir():
        raise ArgumentTypeError(f"got {text!r}, which is a folder, expected a name for a film")
    folder(str(path.parent))
    return path


class FolderOut:
    """NAME.png and NAME_classes.png for each, and shares.json for all, after Ctrl-C too."""

    def __init__(self, path: Path, classes: Any, lines: bool) -> None:
        self.path, self.classes, self.lines = path, classes, lines
        self.shares: dict[str, dict[str, float]] = {}

    def __enter__(self) -> FolderOut:
        self.path.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, item: Item) -> None:
        """Draw one."""
        draw(self.path / item.stem, item.photo, item.seen, self.classes)
        shares = {name: round(s, 6) for name, s in item.seen.shares.items() if s}
        self.shares[item.name] = shares
        if self.lines:
            print(line(item))

    def __exit__(self, *error: object) -> None:
        write_json(self.path / "shares.json", self.shares)

    def summary(self) -> str:
        """What was made: `3 photos in seen`."""
        return f"{count(len(self.shares), 'photo')} in {self.path}"


class FilmOut:
    """The classes over every photo or frame, with their names beside, as one film."""

    def __init__(self, path: Path, classes: Any, rate: float) -> None:
        from ..infer import Entry, background
        from ..infer.film import FilmWriter

        self.writer, self.classes = FilmWriter(path, rate), classes
        self.clear = background(classes)
        self.entries = [
            Entry(colour, name)
            for k, (name, colour) in enumerate(zip(classes.names, classes.colours, strict=True))
            if k not in self.clear and k != classes.void
        ]

    def __enter__(self) -> FilmOut:
        self.writer.path.parent.mkdir(parents=True, exist_ok=True)
        self.writer.__enter__()
        return self

    def write(self, item: Item) -> None:
        """Append one."""
        from ..infer import overlay, with_legend

        drawn = overlay(item.photo, item.seen.class_map, self.classes.colours, clear=self.clear)
        self.writer.write(with_legend(drawn, self.entries))

    def __exit__(self, *error: Any) -> None:
        self.writer.__exit__(*error)

    def summary(self) -> str:
        """What was made: `250 frames in seen.mp4`."""
        return f"{count(self.writer.count, 'frame')} in {self.writer.path}"


def draw(target: Path, photo: Any, seen: Any, classes: Any) -> None:
    """target.png, the classes over the photo, and target_classes.png, the class of each pixel."""
    from ..images import write_png
    from ..infer import figure

    over = target.with_name(f"{target.name}.png")
    write_png(over, figure(photo, seen.class_map, classes), level=QUICK)
    indices = target.with_name(f"{target.name}_classes.png")
    write_png(indices, seen.class_map, classes.palette(), level=QUICK)


def line(item: Item) -> str:
    """What was seen, the four largest shares first: `a.jpg (640 x 480, shrink 2, 0.1 s): ...`."""
    H, W = item.photo.shape[:2]
    largest = sorted(item.seen.shares.items(), key=lambda pair: -pair[1])[:4]
    words = ", ".join(f"{what} {100 * share:.1f} %" for what, share in largest if share)
    return f"{item.name} ({W} x {H}, shrink {item.shrink}, {item.seen.seconds:.2f} s): {words}"
