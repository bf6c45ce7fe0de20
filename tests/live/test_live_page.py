"""The page in a real browser, headless, with a fake camera: what is painted is what was seen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from minifcn.live import Server
from tests.live.serving import encode
from tests.live.staging import CLASSES, PAINT, SHOWN, opacity, predictor, scene, show, text, view


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
    assert happens(lambda: server.worker.frames > before + 3), "frame follows frame"
    page.run("document.getElementById('stop').click()")
    assert happens(lambda: stands_still(server)), "Stop ends the stream"


def happens(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether it comes true in time, on a busy machine too."""
    limit = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < limit:
        time.sleep(0.05)
    return met


def stands_still(server: Server, seconds: float = 1.0) -> bool:
    """Whether no frame comes for a while; a camera gives several in it."""
    before = server.worker.frames
    time.sleep(seconds)
    return server.worker.frames == before


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


def test_a_server_that_went_away_is_said(browser, tmp_path):
    with Server(predictor(), port=0) as server:
        browser.go(server.url)
        browser.until("document.querySelectorAll('#legend tr').length === 4")
        browser.run("document.getElementById('camera').click()")
        browser.until("Number(document.getElementById('rate').textContent) > 0")
    browser.until("document.getElementById('trouble').innerText.includes('does not answer')")
    browser.run("document.getElementById('stop').click()")
    path = tmp_path / "photo.png"
    path.write_bytes(encode(scene()[0]))
    browser.choose("#file", path)
    browser.until("document.getElementById('trouble').innerText.includes('does not answer')")
