"""The page in a real browser, headless, with a fake camera: what is painted is what was seen."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minifcn import nn
from minifcn.data import Classes, Normalize
from minifcn.infer import Predictor
from minifcn.live import Limits, Server
from tests.live import chromium
from tests.live.serving import encode

pytestmark = pytest.mark.skipif(
    chromium.find() is None, reason=f"no browser: {', '.join(chromium.NAMES)}"
)

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


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    predictor = Predictor(Nearest(), CLASSES, Normalize((0, 0, 0), (1, 1, 1)))
    with Server(predictor, port=0, limits=Limits(clients=2, stay=0.5)) as server:
        yield server


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Browser]:
    folder = tmp_path_factory.mktemp("browser")
    film = folder / "camera.mjpeg"
    film.write_bytes(encode(scene(480, 640)[0], "JPEG", quality=95) * 10)
    with chromium.Browser(
        folder / "profile",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ) as browser:
        yield browser
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def page(browser: chromium.Browser, server: Server) -> chromium.Browser:
    """The page as it opens on a wide window."""
    browser.size(1280, 800)
    browser.go(server.url)
    browser.until("document.querySelectorAll('#legend tr').length === 4")
    browser.events.clear()
    return browser


def view(page: chromium.Browser) -> np.ndarray:
    """The pixels of the canvas, H W 3."""
    found = page.run("""(() => {
        const canvas = document.getElementById("view");
        const {width, height} = canvas;
        const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
        return [height, width, btoa(Array.from(data, (b) => String.fromCharCode(b)).join(""))];
    })()""")
    import base64

    H, W, data = found
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(H, W, 4)[:, :, :3]


def opacity(page: chromium.Browser, percent: int) -> None:
    page.run(f"""(() => {{
        const slider = document.getElementById("opacity");
        slider.value = {percent};
        slider.dispatchEvent(new Event("input"));
    }})()""")


def show(page: chromium.Browser, picture: np.ndarray, folder: Path, kind: str = "PNG") -> None:
    """Choose a photo and wait for its answer."""
    path = folder / f"photo.{kind.lower()}"
    path.write_bytes(encode(picture, kind))
    page.run("document.getElementById('answer-time').textContent = 'none'")
    page.choose("#file", path)
    page.until("document.getElementById('answer-time').textContent !== 'none'")


def text(page: chromium.Browser, name: str) -> str:
    found: str = page.run(f"document.getElementById('{name}').innerText")
    return found


@pytest.mark.parametrize("size", [(240, 320), (37, 53), (480, 7)])
def test_a_photo_is_painted_exactly_as_the_network_saw_it(page, tmp_path, size):
    picture, label = scene(*size)
    show(page, picture, tmp_path)
    painted = np.array(PAINT)[label]
    things = label > 0
    for percent in (0, 100, 40):
        opacity(page, percent)
        expected = picture + percent / 100 * (painted - picture)
        expected[~things] = picture[~things]  # the background is not painted
        np.testing.assert_allclose(view(page), expected, atol=2)
    assert text(page, "opacity-shown") == "40 %"
    assert page.complaints() == []


def test_the_legend_says_what_share_each_class_has_and_hides_classes(page, tmp_path):
    picture, label = scene()
    show(page, picture, tmp_path)
    opacity(page, 100)
    rows = page.run("[...document.querySelectorAll('#legend tr')].map((row) => row.innerText)")
    for k, row in enumerate(rows):
        name, share = row.split("\t")
        assert name.strip() == CLASSES.names[k]
        assert share == f"{100 * (label == k).mean():.1f} %"
    colours = page.run("[...document.querySelectorAll('.swatch')].map((s) => s.style.cssText)")
    assert colours == [f"background-color: rgb({r}, {g}, {b});" for r, g, b in PAINT]
    page.run("document.querySelectorAll('#legend input')[3].click()")  # hide blue
    page.run("document.querySelectorAll('#legend input')[0].click()")  # paint the background
    expected = np.array(PAINT)[label]
    expected[label == 3] = SHOWN[3]
    np.testing.assert_array_equal(view(page), expected)


def test_boxes_are_drawn_around_things(page, tmp_path):
    picture, label = scene()
    show(page, picture, tmp_path)
    opacity(page, 0)
    page.run("document.getElementById('boxes').click()")
    page.until("document.getElementById('answer-time').textContent !== 'none'")
    page.until(f"""(() => {{
        const at = (x, y) => document.getElementById("view").getContext("2d")
            .getImageData(x, y, 1, 1).data;
        return at({320 // 2}, {240 // 2 + 40})[2] === {PAINT[3][2]};
    }})()""")
    seen = view(page)
    for k in (1, 2, 3):
        rows, columns = np.nonzero(label == k)
        top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
        middle = (top + bottom) // 2
        for place in (
            (middle, left),
            (middle, right),
            (bottom, (left + right) // 2),
        ):
            np.testing.assert_array_equal(seen[place], PAINT[k])
        np.testing.assert_array_equal(seen[middle, (left + right) // 2], SHOWN[k])
        np.testing.assert_array_equal(seen[bottom + 2, right - 1], SHOWN[0])
    page.run("document.querySelectorAll('#legend input')[3].click()")
    np.testing.assert_array_equal(view(page)[label == 3], picture[label == 3])


def test_a_large_photo_is_sent_smaller(page, tmp_path):
    picture, _ = scene(900, 1200)
    for kind in ("PNG", "BMP"):  # BMP: what browsers know and the server does not take
        show(page, picture, tmp_path, kind)
        assert view(page).shape == (360, 480, 3)
    page.run("document.getElementById('size').value = '0'")
    page.run("document.getElementById('size').dispatchEvent(new Event('change'))")
    page.until("document.getElementById('view').width === 1200")
    assert page.complaints() == []


def test_the_camera_is_seen_live(page, server):
    before = server.worker.frames
    page.run("document.getElementById('camera').click()")
    page.until("Number(document.getElementById('rate').textContent) > 0")
    opacity(page, 100)
    page.until("document.getElementById('view').width === 480")
    painted = view(page)
    label = scene(360, 480)[1]
    expected = np.array(PAINT)[label]
    things = label > 0
    agree = (np.abs(painted - expected).max(axis=2) <= 2)[things].mean()
    assert agree > 0.97, "away from the edges, which JPEG blurs, every pixel is painted"
    dark = np.abs(painted[~things].astype(int) - SHOWN[0]).mean()
    assert dark < 20, "the background is the camera's, whose range of video makes dark darker"
    assert "on the CPU" in text(page, "network")
    assert float(text(page, "network-time")) >= 0 < float(text(page, "answer-time"))
    assert text(page, "trouble") == "" and page.complaints() == []
    page.run("document.getElementById('stop').click()")
    threading.Event().wait(0.3)
    after = server.worker.frames
    threading.Event().wait(0.5)
    assert before + 3 < after == server.worker.frames, "Stop ends the stream"


def test_a_dropped_video_is_seen_live_and_a_broken_one_is_said(page):
    page.run("""(async () => {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [160, 120];
        const pen = canvas.getContext("2d");
        const recorder = new MediaRecorder(canvas.captureStream(25), {mimeType: "video/webm"});
        const parts = [];
        recorder.ondataavailable = ({data}) => parts.push(data);
        const done = new Promise((resolve) => (recorder.onstop = resolve));
        recorder.start();
        for (let i = 0; i < 25; i++) {
            pen.fillStyle = "rgb(250 20 20)";
            pen.fillRect(0, 0, 160, 120);
            await new Promise((resolve) => setTimeout(resolve, 40));
        }
        recorder.stop();
        await done;
        window.drop = (parts, name, type) => {
            const carried = new DataTransfer();
            carried.items.add(new File(parts, name, {type}));
            const event = new DragEvent("drop", {dataTransfer: carried, cancelable: true});
            document.dispatchEvent(event);
        };
        window.drop(parts, "film.webm", "video/webm");
    })()""")
    page.until("Number(document.getElementById('rate').textContent) > 0")
    row = page.until("document.querySelectorAll('#legend td')[1].textContent")
    assert row == "100.0 %"
    for name, kind, words in (
        ("broken.webm", "video/webm", "cannot be played"),
        ("broken.png", "image/png", "broken.png is no picture"),
        ("notes.txt", "text/plain", "notes.txt is no photo and no video"),
    ):
        page.run(f"window.drop(['nothing'], '{name}', '{kind}')")
        page.until(f"document.getElementById('trouble').innerText.includes('{words}')")


def test_refusals_are_shown_and_the_page_goes_on_by_itself(page, server):
    others = ["a", "b"]
    threading.Event().wait(server.limits.stay + 0.1)  # until this tab's place is free
    places = [server.clients.place(name, stays=False) for name in others]
    for place in places:
        place.__enter__()
    try:
        page.run("document.getElementById('camera').click()")
        page.until("document.getElementById('trouble').innerText.includes('2 clients are here')")
    finally:
        for place in places:
            place.__exit__(None, None, None)
    page.until("document.getElementById('trouble').hidden")
    page.until("Number(document.getElementById('rate').textContent) > 0")


def test_the_page_may_load_nothing_from_elsewhere_and_run_nothing_inline(page):
    blocked = page.run("""(async () => {
        const found = [];
        document.addEventListener(
            "securitypolicyviolation", (event) => found.push(event.effectiveDirective));
        await fetch("http://127.0.0.2:9/").catch(() => 0);
        const image = new Image();
        image.src = "http://127.0.0.2:9/x.png";
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script, image);
        const button = document.createElement("button");
        button.setAttribute("onclick", "window.ran = true");
        document.body.append(button);
        button.click();
        await new Promise((resolve) => setTimeout(resolve, 200));
        return [...new Set(found)].sort().concat(window.ran ? ["ran"] : []);
    })()""")
    assert blocked == ["connect-src", "img-src", "script-src-attr", "script-src-elem"]


@pytest.mark.parametrize("width", [320, 375, 800, 1280])
def test_nothing_sticks_out_on_any_width(page, tmp_path, width):
    show(page, scene(300, 480)[0], tmp_path)
    page.size(width, 700)
    assert page.run("document.documentElement.scrollWidth") <= width
    small = page.run("""[...document.querySelectorAll("button, .button, select")]
        .filter((e) => e.getBoundingClientRect().height < 40).map((e) => e.id)""")
    assert small == [], "large enough for a finger"


def test_keys_alone_reach_and_move_everything(page):
    order = []
    for _ in range(7):
        page.press("Tab", 9)
        order.append(page.run("document.activeElement.id"))
    assert order == ["camera", "file", "opacity", "boxes", "size", "", ""]  # then the legend
    page.run("document.getElementById('opacity').focus()")
    for _ in range(3):
        page.press("ArrowRight", 39)
    assert text(page, "opacity-shown") == "58 %"
    page.run("document.getElementById('file').focus()")
    outline = "getComputedStyle(document.querySelector('.button')).outlineStyle"
    assert page.run(outline) == "solid", "who uses keys sees where they are"


def test_a_screen_reader_has_a_name_for_everything(page, tmp_path):
    show(page, scene()[0], tmp_path)
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    named = {"button", "slider", "checkbox", "combobox", "image", "heading"}
    found: dict[str, list[str]] = {}
    for node in nodes:
        role = node.get("role", {}).get("value")
        if role in named and not node.get("ignored"):
            name = node["name"]["value"]
            assert name, f"a {role} without a name"
            found.setdefault(role, []).append(name)
    assert "Boxes" in found["checkbox"] and "red thing" in found["checkbox"]
    assert found["slider"] == ["Colours"] and found["combobox"] == ["Longer side"]
    assert any("Camera" in name for name in found["button"])
    assert any("red thing" in name for name in found["image"])
    assert "red thing" in text(page, "said")


def test_contrast_of_words_is_enough(page):
    """WCAG 2.2, 1.4.3: at least 4.5 : 1, light and dark."""
    for dark in (False, True):
        page.size(1280, 800, dark=dark)
        style = page.run("""(() => {
            const of = (e, p) => getComputedStyle(document.querySelector(e))[p];
            return [[of("body", "color"), of("body", "backgroundColor")],
                    [of("#figures", "color"), of("body", "backgroundColor")],
                    [of("#camera", "color"), of("#camera", "backgroundColor")],
                    [of("#trouble", "color"), of("body", "backgroundColor")]];
        })()""")
        for front, back in style:
            light = sorted(luminance(colour) for colour in (front, back))
            assert (light[1] + 0.05) / (light[0] + 0.05) >= 4.5, (front, back)


def luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)" (WCAG 2.2)."""
    values = [int(value) / 255 for value in colour[4:-1].split(",")]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def test_a_server_that_went_away_is_said(browser, tmp_path):
    predictor = Predictor(Nearest(), CLASSES, Normalize((0, 0, 0), (1, 1, 1)))
    with Server(predictor, port=0) as server:
        browser.go(server.url)
        browser.until("document.querySelectorAll('#legend tr').length === 4")
        browser.run("document.getElementById('camera').click()")
        browser.until("Number(document.getElementById('rate').textContent) > 0")
    browser.until("document.getElementById('trouble').innerText.includes('does not answer')")
    browser.run("document.getElementById('stop').click()")
    path = tmp_path / "photo.png"
    Image.fromarray(scene()[0]).save(path)
    browser.choose("#file", path)
    browser.until("document.getElementById('trouble').innerText.includes('does not answer')")
