"""Films in and out: frames come as they were written, and what is broken names file and frame."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from minifcn.images import ImageError
from minifcn.infer import FilmWriter, FrameError, open_film


def frames(count=5, H=36, W=48):
    """A bright square that wanders over a ground that gets lighter."""
    made = []
    for k in range(count):
        picture = np.full((H, W, 3), 20 * k, np.uint8)
        picture[4 + k : 20 + k, 6 + 4 * k : 22 + 4 * k] = (250, 200, 10)
        made.append(picture)
    return made


def write(path, pictures, rate=12.5):
    with FilmWriter(path, rate) as film:
        for picture in pictures:
            film.write(picture)
    return path


def test_a_gif_gives_back_its_frames(tmp_path):
    film = open_film(write(tmp_path / "a.gif", frames()))
    assert film is not None
    assert film.count == 5 and film.rate == pytest.approx(12.5)
    for _ in range(2):  # each time anew
        for seen, written in zip(film, frames(), strict=True):
            np.testing.assert_array_equal(seen, written)


def test_a_gif_by_another_program_is_read_too(tmp_path):
    pages = [Image.new("P", (7, 5), k) for k in range(3)]
    for page in pages:
        page.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    pages[0].save(tmp_path / "b.gif", save_all=True, append_images=pages[1:], duration=40)
    film = open_film(tmp_path / "b.gif")
    assert film is not None and film.rate == 25
    assert [seen[2, 3].tolist() for seen in film] == [[0, 0, 0], [255, 0, 0], [0, 0, 255]]


def test_an_animated_webp_is_a_film_too(tmp_path):
    pages = [Image.fromarray(picture) for picture in frames()]
    path = tmp_path / "a.webp"
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=80, lossless=True)
    film = open_film(path)
    assert film is not None and (film.count, film.rate) == (5, 12.5)
    for seen, written in zip(film, frames(), strict=True):
        np.testing.assert_array_equal(seen, written)


def test_a_gif_that_stands_still_for_a_while_is_as_long_as_before(tmp_path):
    still = [frames()[k] for k in (0, 1, 1, 1, 2)]  # Pillow stores the three as one
    film = open_film(write(tmp_path / "a.gif", still))
    assert film is not None and film.count == 3
    assert film.count / film.rate == pytest.approx(5 / 12.5)


def test_photos_are_no_films(tmp_path):
    Image.new("P", (7, 5)).save(tmp_path / "one.gif")
    Image.new("RGB", (7, 5)).save(tmp_path / "one.png")
    assert open_film(tmp_path / "one.gif") is None
    assert open_film(tmp_path / "one.png") is None


def test_a_broken_gif_names_the_frame(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3)).astype(np.uint8)
    whole = write(tmp_path / "a.gif", noise).read_bytes()
    broken = tmp_path / "broken.gif"
    broken.write_bytes(whole[: len(whole) // 2])
    film = open_film(broken)
    assert film is not None
    seen = []
    with pytest.raises(FrameError, match=r"broken.gif: (frame \d|breaks off after frame \d)"):
        for frame in film:
            seen.append(frame)
    assert 1 <= len(seen) < 6
    broken.write_bytes(b"GIF89a")
    with pytest.raises((FrameError, ImageError), match="broken.gif"):
        open_film(broken)


def test_an_exception_leaves_the_old_film_and_nothing_else(tmp_path):
    path = write(tmp_path / "a.gif", frames())
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), FilmWriter(path, 10) as film:
        film.write(frames()[0])
        raise KeyboardInterrupt
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_frames_of_another_size_are_refused(tmp_path):
    with (
        pytest.raises(FrameError, match=r"frame 2 is 4 x 6 \(H x W\), but the film is 36 x 48"),
        FilmWriter(tmp_path / "a.gif", 10) as film,
    ):
        film.write(frames()[0])
        film.write(np.zeros((4, 6, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_no_film_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a.png: expected a name that ends in .mp4, .mkv, .webm"):
        FilmWriter(tmp_path / "a.png", 10)


def test_without_pyav_a_video_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"")
    for action in (open_film, lambda path: FilmWriter(path, 10)):
        with pytest.raises(FrameError, match=r"a.mp4: videos need PyAV: pip install minifcn\[vid"):
            action(tmp_path / "a.mp4")
    write(tmp_path / "a.gif", frames())


# ---- videos, where PyAV is installed -------------------------------------------------------------


@pytest.fixture
def av():
    return pytest.importorskip("av", reason="no PyAV (pip install minifcn[video])")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
@pytest.mark.parametrize("size", [(36, 48), (45, 63)])
def test_a_video_gives_back_its_frames(av, tmp_path, name, size):
    film = open_film(write(tmp_path / name, frames(8, *size)))
    assert film is not None
    assert film.count == 8 and film.rate == pytest.approx(12.5)
    H, W = size
    seen = list(film)
    assert len(seen) == 8
    for picture, written in zip(seen, frames(8, *size), strict=True):
        assert picture.shape == (H + H % 2, W + W % 2, 3)
        away = np.abs(picture[:H, :W].astype(int) - written)
        assert away.mean() < 8, "a little is lost, the order is not"


def test_an_interrupted_video_leaves_the_old_one(av, tmp_path):
    path = write(tmp_path / "a.mp4", frames())
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), FilmWriter(path, 10) as film:
        film.write(frames()[0])
        raise KeyboardInterrupt
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def noisy(count=20):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (48, 64, 3)).astype(np.uint8) for _ in range(count)]


def test_a_damaged_video_names_the_frame(av, tmp_path):
    data = bytearray(write(tmp_path / "a.mp4", noisy()).read_bytes())
    rng = np.random.default_rng(0)
    third = len(data) // 3
    data[third : 2 * third] = rng.integers(0, 256, third).astype(np.uint8).tobytes()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data)
    film = open_film(broken)
    assert film is not None
    seen = []
    with pytest.raises(FrameError, match=r"broken.mp4: (frame \d+ cannot|breaks off after frame)"):
        for frame in film:
            seen.append(frame)
    assert 1 <= len(seen) < 20


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_a_cut_video_is_an_error_at_once_or_at_its_end(av, tmp_path, name, part):
    whole = write(tmp_path / name, noisy(40)).read_bytes()
    cut = tmp_path / f"cut_{name}"
    cut.write_bytes(whole[: int(part * len(whole))])
    if part == 0.95 and name != "a.mp4":
        film = open_film(cut)
        assert film is not None and len(list(film)) >= 30  # nearly all is there
        return
    with pytest.raises(FrameError, match=f"cut_{name}: (is no video|frame 1 cannot|breaks off)"):
        film = open_film(cut)
        assert film is not None
        list(film)


def test_what_has_no_picture_in_it_is_no_video(av, tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(FrameError, match="sound.mp4: has no video in it"):
        open_film(path)
    with pytest.raises(FileNotFoundError, match="nowhere.mp4"):
        open_film(tmp_path / "nowhere.mp4")
