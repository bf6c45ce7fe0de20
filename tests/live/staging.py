"""A scene whose classes are known, a network that sees them, and what the page makes of it."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np

from minifcn import nn
from minifcn.data import Classes, Normalize
from minifcn.infer import Predictor
from tests.live.chromium import Browser
from tests.live.serving import encode

SHOWN = np.array([[20, 20, 20], [250, 20, 20], [20, 250, 20], [20, 20, 250]])  # on the picture
PAINT = ((90, 90, 90), (255, 200, 0), (0, 200, 255), (255, 0, 200))  # of the classes
CLASSES = Classes(("background", "red thing", "green thing", "blue thing"), PAINT)


class Nearest(nn.Module):
    """The class of a pixel is the nearest of the four colours.

    -|x - c_k|^2 = 2 c_k x - |c_k|^2 - |x|^2, where the last part is the same for all k.
    """

    stride, radius = 1, 0
    config = {"name": "nearest"}

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Conv2d(3, 4, 1)
        colours = SHOWN / 255
        self.score.weight.data[...] = 20 * colours[:, :, None, None]
        assert self.score.bias is not None
        self.score.bias.data[...] = -10 * (colours**2).sum(1)

    def forward(self, x):
        return self.score(x)


def scene(H: int = 240, W: int = 320) -> tuple[np.ndarray, np.ndarray]:
    """A picture and its classes, unlike in every direction: an L of things in the corners."""
    label = np.zeros((H, W), np.uint8)
    label[H // 8 : H // 3, W // 8 : W // 2] = 1
    label[H // 2 : H - H // 8, W // 8 : W // 4] = 2
    label[H // 2 : H - H // 4, W // 2 : W - W // 16] = 3
    return SHOWN[label].astype(np.uint8), label


def view(page: Browser) -> np.ndarray:
    """The pixels of the canvas, H W 3."""
    found = page.run("""(() => {
        const canvas = document.getElementById("view");
        const {width, height} = canvas;
        const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
        return [height, width, btoa(Array.from(data, (b) => String.fromCharCode(b)).join(""))];
    })()""")
    H, W, data = found
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(H, W, 4)[:, :, :3]


def opacity(page: Browser, percent: int) -> None:
    page.run(f"""(() => {{
        const slider = document.getElementById("opacity");
        slider.value = {percent};
        slider.dispatchEvent(new Event("input"));
    }})()""")


def show(page: Browser, picture: np.ndarray, folder: Path, kind: str = "PNG") -> None:
    """Choose a photo and wait for its answer."""
    path = folder / f"photo.{kind.lower()}"
    path.write_bytes(encode(picture, kind))
    page.run("document.getElementById('answer-time').textContent = 'none'")
    page.choose("#file", path)
    page.until("document.getElementById('answer-time').textContent !== 'none'")


def text(page: Browser, name: str) -> str:
    found: str = page.run(f"document.getElementById('{name}').innerText")
    return found


def predictor() -> Predictor:
    return Predictor(Nearest(), CLASSES, Normalize((0, 0, 0), (1, 1, 1)))
