"""derivation: why a network crops what it crops, step by step, as a table and as a drawing.

    S     image pixels from one cell of a feature to the next
    b     the image pixel around which its first cell lies
    sees  the receptive field of a cell, in pixels

Found by running the network on shapes: any network, also one of your own. The rules stand in
models/coordinates.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import nn
from ..images import write_aside
from ..models.coordinates import Grid
from ..models.walk import Step, Walk, walk
from .drawing import Band, drawn
from .named import model_of
from .words import aligned, both

SIZE = 96  # of the image that is drawn: three cells of stride 32


@dataclass(frozen=True)
class Derivation:
    """The steps of a network that decide where its cells lie; printed, it is the table.

    >>> print(derivation({"name": "fcn_vgg16", "skips": 0, "width": 1}).table(moves=True))
    layer         what              kernel  stride  pad   S      b  sees
    image                                               1      0     1
    features.0    conv2d                 3       1  100   1    -99     3
    features.4    max_pool2d             2       2    0   2  -98.5     6
    features.9    max_pool2d             2       2    0   4  -97.5    16
    features.16   max_pool2d             2       2    0   8  -95.5    44
    features.23   max_pool2d             2       2    0  16  -91.5   100
    features.30   max_pool2d             2       2    0  32  -83.5   212
    classifier.0  conv2d                 7       1    0  32   12.5   404
    upscore       conv_transpose2d      64      32    0   1    -19   467
    upscore       crop 19                                 1      0   467
                  (0 - -19) / 1 = 19
    """

    model: str
    walked: Walk

    def __str__(self) -> str:
        return self.table()

    @property
    def steps(self) -> list[Step]:
        """All that look at more than a pixel, move cells, or join branches."""
        return [s for s in self.walked.steps if s.grid and (_wide(s) or _moves(s, self.walked))]

    def table(self, moves: bool = False) -> str:
        """A line for each step; with `moves` only for those that change S or b."""
        rows = [["layer", "what", "kernel", "stride", "pad", "S", "b", "sees"]]
        rows.append(["image", "", "", "", "", *_place(Grid())])
        for step in self.steps:
            before, grid = _before(step, self.walked), step.grid
            if grid is None or (moves and not _moves(step, self.walked)):
                continue
            rows.append([_named(step, self.walked), *_what(step, before), *_place(grid)])
            if step.op.name == "get_slice":
                rows.append(["", _crop_formula(before, grid), *[""] * 6])
            elif max(step.apart) > 0:
                rows.append(["", f"{both(step.apart)} pixels apart", *[""] * 6])
        return _table(rows)

    def svg(self) -> str:
        """The drawing, as the text of an SVG file."""
        return drawn(self._bands(), self.walked.image[2], self._title()).svg()

    def save(self, path: str | Path) -> None:
        """The drawing in a file, .svg or .png; written whole or not at all."""
        path = Path(path)
        canvas = drawn(self._bands(), self.walked.image[2], self._title())
        if path.suffix not in (".svg", ".png"):
            raise ValueError(
                f"derivation: {path}: suffix is {path.suffix!r}, expected .svg or .png"
            )
        with write_aside(path) as file:
            file.write(canvas.svg().encode() if path.suffix == ".svg" else canvas.png())

    def json(self) -> list[dict[str, Any]]:
        """The steps, ready for JSON."""
        found = []
        for step in self.steps:
            what, kernel, stride, pad = _what(step, _before(step, self.walked))
            grid = step.grid or Grid()
            told: dict[str, Any] = {"layer": _named(step, self.walked), "what": what}
            if kernel:
                told |= {"kernel": kernel, "stride": stride, "pad": pad}
            told |= {"S": list(grid.step), "b": list(grid.centre), "sees": list(grid.size)}
            found.append(told)
        return found

    def _title(self) -> str:
        return f"{self.model}: the cells of every feature, and where they lie along the image"

    def _bands(self) -> list[Band]:
        """The features to draw: the image, and whatever lies elsewhere than what it is made of."""
        bands = [Band("image", "", Grid(), self.walked.image[2])]
        for step in self.walked.steps:
            grid, before = step.grid, _before(step, self.walked)
            if grid is None or not _moves(step, self.walked):
                continue
            what, kernel, stride, pad = _what(step, before)
            geometry = f"k{kernel} s{stride} p{pad}" if kernel else ""
            whole = None
            if step.op.name == "get_slice":
                whole = before, step.inputs[0][2]
            name = f"{_named(step, self.walked)}  {what}"
            bands.append(Band(name, geometry, grid, step.shape[2], whole))
        return bands


def derivation(
    model: nn.Module | str | Mapping[str, Any], image: Sequence[int] = (3, SIZE, SIZE)
) -> Derivation:
    """Where the cells of a model lie, layer by layer; `model` may be a name or a config.

    >>> derivation({"name": "fcn_vgg16", "geometry": "zero", "width": 1}).walked.grid().centre
    (0, 0)
    """
    net = model_of(model)
    name = getattr(net, "config", {}).get("name", type(net).__name__)
    return Derivation(name, walk(net, image))


def _before(step: Step, walked: Walk) -> Grid:
    """Where the cells of its first source lie."""
    source = step.sources[0]
    return (None if source < 0 else walked.steps[source].grid) or Grid()


def _named(step: Step, walked: Walk) -> str:
    """Its layer; of a crop that of what is cropped."""
    source = step.sources[0]
    if step.op.name == "get_slice" and source >= 0:
        return walked.steps[source].layer
    return step.layer


def _wide(step: Step) -> bool:
    window = step.window
    joins = len(step.sources) > 1 and step.op.name in ("add", "sub", "mul", "concat", "maximum")
    return joins or (window is not None and window.kernel != (1, 1))


def _moves(step: Step, walked: Walk) -> bool:
    before = _before(step, walked)
    if step.grid is None or len(step.sources) > 1:
        return False
    return (step.grid.step, step.grid.centre) != (before.step, before.centre)


def _what(step: Step, before: Grid) -> tuple[str, str, str, str]:
    """The operator in a word, and its kernel, stride and padding where it has them."""
    window, grid = step.window, step.grid or Grid()
    if window is None:
        if step.op.name == "get_slice" and grid.step == before.step:
            return f"crop {both(_cells(before, grid))}", "", "", ""
        return step.op.name, "", "", ""
    kernel = both(window.kernel)
    if window.dilation != (1, 1):
        kernel = f"{kernel} d{both(window.dilation)}"
    return step.kind, kernel, both(window.stride), both(window.pad)


def _cells(before: Grid, grid: Grid) -> tuple[float, float]:
    (a, b), (c, d), (s, t) = before.centre, grid.centre, grid.step
    return (c - a) / s, (d - b) / t


def _crop_formula(before: Grid, grid: Grid) -> str:
    """(b - b of what is cropped) / S = crop."""
    words = (both(grid.centre), both(before.centre), both(grid.step), both(_cells(before, grid)))
    return "({} - {}) / {} = {}".format(*words)


def _place(grid: Grid) -> list[str]:
    return [both(grid.step), both(grid.centre), both(grid.size)]


def _table(rows: list[list[str]]) -> str:
    """Aligned, but for remarks, which may be longer than their column."""
    plain = [row if any(row[2:]) else [""] * len(row) for row in rows]
    lines = aligned(plain, left=2).split("\n")
    indent = max(len(row[0]) for row in plain) + 2
    for k, row in enumerate(rows):
        if not any(row[2:]):
            lines[k] = " " * indent + row[1]
    return "\n".join(lines)
