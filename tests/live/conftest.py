"""A browser, a server for it, and its page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from minifcn.live import Limits, Server
from tests.live.chromium import NAMES, Browser, find
from tests.live.serving import encode
from tests.live.staging import predictor, scene


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One whose network sees the scene of staging.py; tests of requests have their own."""
    with Server(predictor(), port=0, limits=Limits(clients=2, stay=0.5)) as server:
        yield server


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium before a fake camera that shows the scene."""
    if find() is None:
        pytest.skip(f"no browser here, looked for {', '.join(NAMES)}")
    folder = tmp_path_factory.mktemp("browser")
    film = folder / "camera.mjpeg"
    film.write_bytes(encode(scene(480, 640)[0], "JPEG", quality=95) * 10)
    with Browser(
        folder / "profile",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ) as browser:
        yield browser
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def page(browser: Browser, server: Server) -> Browser:
    """The page as it opens on a wide window."""
    browser.size(1280, 800)
    browser.go(server.url)
    browser.until("document.querySelectorAll('#legend tr').length === 4")
    browser.events.clear()
    return browser
