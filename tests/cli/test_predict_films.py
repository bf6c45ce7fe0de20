"""`minifcn predict` on films and many frames: what is shown, what is left, what it took."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from minifcn import models
from minifcn.cli import main
from minifcn.cli.stopwatch import Stopwatch
from minifcn.images import read_image, read_label, write_png
from minifcn.infer import FilmWriter, overlay, with_legend
from minifcn.infer.frames import open_film
from minifcn.infer.legend import Entry
from tests.live.serving import CLASSES, network, photo

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    network().save(path)
    return path


def pictures(count, H=40, W=56):
    return [photo(H, W, seed) for seed in range(count)]


def film(path, made):
    with FilmWriter(path, 12.5) as writer:
        for picture in made:
            writer.write(picture)
    return path


def frames_of(path):
    found = open_film(path)
    assert found is not None
    return list(found)


def drawn(picture):
    """The classes over a picture, with their names, as the film has them."""
    seen = network()(picture).class_map
    over = overlay(picture, seen, CLASSES.colours, clear=[0])
    names = zip(CLASSES.colours[1:], CLASSES.names[1:], strict=True)
    return with_legend(over, [Entry(colour, name) for colour, name in names])


def test_a_film_becomes_a_picture_for_each_frame(model, tmp_path, capsys):
    path = film(tmp_path / "drive.gif", pictures(4))
    out = tmp_path / "seen"
    assert main(["predict", str(model), str(path), "--out", str(out)]) == 0
    shares = json.loads((out / "shares.json").read_text())
    assert list(shares) == [f"drive.gif {k}" for k in (1, 2, 3, 4)]
    for k, frame in enumerate(frames_of(path), start=1):
        class_map = read_label(out / f"drive_{k:06}_classes.png")
        np.testing.assert_array_equal(class_map, network()(frame).class_map)
        assert shares[f"drive.gif {k}"].get("road", 0) == pytest.approx(
            (class_map == 1).mean(), abs=1e-6
        )
        assert (out / f"drive_{k:06}.png").exists()
    said = capsys.readouterr()
    assert "4 photos in" in said.err and "per second" in said.err and "ms of network" in said.err
    assert said.out == ""


def test_a_folder_of_frames_becomes_a_film(model, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for k, picture in enumerate(pictures(5)):
        write_png(folder / f"{k}.png", picture)
    out = tmp_path / "new" / "seen.gif"
    arguments = ["predict", str(model), str(folder), "--out", str(out), "--fps", "20"]
    assert main(arguments) == 0
    found = open_film(out)
    assert found is not None and found.rate == pytest.approx(20)
    for seen, picture in zip(found, pictures(5), strict=True):
        expected = drawn(picture)
        assert seen.shape == expected.shape
        away = np.abs(seen.astype(int) - expected).mean()
        assert away < 12, "a GIF has 256 colours"
        assert away < np.abs(seen.astype(int) - drawn(photo(40, 56, 99))).mean() / 2


def test_a_film_keeps_the_rate_of_the_film_that_it_was(model, tmp_path):
    path = film(tmp_path / "a.gif", pictures(3))
    assert main(["predict", str(model), str(path), "--out", str(tmp_path / "b.gif")]) == 0
    found = open_film(tmp_path / "b.gif")
    assert found is not None and found.rate == pytest.approx(12.5) and found.count == 3


def test_videos_go_in_and_out(model, tmp_path):
    pytest.importorskip("av", reason="no PyAV (pip install minifcn[video])")
    path = film(tmp_path / "a.mp4", pictures(6))
    out = tmp_path / "seen.webm"
    assert main(["predict", str(model), str(path), "--out", str(out)]) == 0
    seen = frames_of(out)
    assert len(seen) == 6
    for picture, frame in zip(frames_of(path), seen, strict=True):
        expected = drawn(picture)
        H, W = expected.shape[:2]
        assert np.abs(frame[:H, :W].astype(int) - expected).mean() < 25


def test_stats_say_how_long_what_took(model, tmp_path, capsys):
    path = film(tmp_path / "a.gif", pictures(6))
    stats = tmp_path / "stats.json"
    arguments = ["predict", str(model), str(path), "--out", str(tmp_path / "seen")]
    assert main([*arguments, "--stats", str(stats)]) == 0
    facts = json.loads(stats.read_text())
    assert (facts["frames"], facts["device"], facts["model"]) == (6, "cpu", "FCN")
    assert facts["frames_per_second"] > 0
    for part in ("read", "network", "write"):
        row = facts[f"{part}_seconds"]
        assert 0 < row["least"] <= row["median"] <= row["most"] <= row["sum"]


def test_the_stopwatch_counts_what_it_says(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def spend(seconds):
        now[0] += seconds
        return seconds

    watch = Stopwatch()
    work, finish = watch.timing("network", spend), watch.timing("write", lambda x: spend(0.25))
    for seconds in watch.timed("read", iter([1.0, 0.5, 0.25])):
        work(seconds)
        finish(seconds)
    facts = watch.facts()
    assert facts["network_seconds"] == {"median": 0.5, "least": 0.25, "most": 1.0, "sum": 1.75}
    assert facts["write_seconds"]["sum"] == 0.75 and facts["read_seconds"]["sum"] == 0
    assert facts["frames_per_second"] == 2 / (0.75 + 0.5)  # after the first was finished
    assert watch.words() == "1.6 per second, 500 ms of network each"
    assert Stopwatch().words() == "nothing seen"


def test_a_broken_film_is_named_with_its_frame_and_the_rest_is_done(model, tmp_path, capsys):
    whole = film(tmp_path / "whole.gif", pictures(8, 64, 64)).read_bytes()
    (tmp_path / "broken.gif").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.mp4").write_bytes(b"")
    write_png(tmp_path / "good.png", photo(24, 32))
    out = tmp_path / "seen"
    inputs = [str(tmp_path / name) for name in ("broken.gif", "empty.mp4", "good.png")]
    assert main(["predict", str(model), *inputs, "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert "broken.gif: frame" in error or "broken.gif: breaks off after frame" in error
    assert "empty.mp4: " in error
    assert (out / "broken_000001.png").exists() and (out / "good.png").exists()


def test_frames_of_two_sizes_make_no_film(model, tmp_path, capsys):
    for k, size in enumerate([(24, 32), (24, 32), (40, 32)]):
        write_png(tmp_path / f"{k}.png", photo(*size))
    out = tmp_path / "seen.gif"
    assert main(["predict", str(model), str(tmp_path), "--out", str(out)]) == 1
    assert "seen.gif: frame 3 is" in capsys.readouterr().err
    assert not out.exists() and not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    "out, words", [("taken.gif", "is a folder"), ("file/seen.gif", "file is a file")]
)
def test_a_film_that_cannot_be_written_is_refused_before_the_work(
    model, tmp_path, out, words, capsys
):
    (tmp_path / "taken.gif").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        main(["predict", str(model), "x.png", "--out", str(tmp_path / out)])
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("command", ["predict X x.png --out seen", "live X", "evaluate X hotdogs"])
def test_a_classifier_is_refused_in_one_line(command, tmp_path, monkeypatch, capsys):
    """Weights of a known network that says what, not where."""
    net = models.build({"name": "squeezenet1_1"}, np.random.default_rng(0))
    weights = tmp_path / "squeezenet.safetensors"
    save_file({name: t.numpy() for name, t in net.state_dict().items()}, weights)
    write_png(tmp_path / "x.png", photo(24, 32))
    monkeypatch.chdir(tmp_path)
    assert main([str(weights) if word == "X" else word for word in command.split()]) == 1
    error = capsys.readouterr().err
    assert "is a SqueezeNet, which does not say what is where" in error and "locate" in error
    assert error.count("\n") == 1 and not (tmp_path / "seen").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one child process")
@pytest.mark.parametrize("out", ["seen", "seen.mp4"])
def test_ctrl_c_leaves_whole_files(model, tmp_path, out):
    if out == "seen.mp4":
        pytest.importorskip("av", reason="no PyAV (pip install minifcn[video])")
    folder = tmp_path / "frames"
    folder.mkdir()
    large = photo(300, 400)
    for k in range(150):
        write_png(folder / f"{k:03}.png", large, level=0)
    target = tmp_path / out
    arguments = ["predict", str(model), str(folder), "--out", str(target)]
    process = subprocess.Popen(
        [sys.executable, "-m", "minifcn", *arguments, "--stats", str(tmp_path / "stats.json")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    limit = time.monotonic() + 60
    while time.monotonic() < limit and process.poll() is None:
        if any(tmp_path.glob("seen/*_classes.png")) or any(tmp_path.glob("*.part")):
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130 and "stopped" in error, error
    done = json.loads((tmp_path / "stats.json").read_text())["frames"]
    assert 0 < done < 150, "neither before the first nor after the last"
    assert not list(tmp_path.rglob("*.part"))
    if out == "seen.mp4":
        assert len(frames_of(target)) == done
        return
    shares = json.loads((target / "shares.json").read_text())
    maps = sorted(target.glob("*_classes.png"))
    assert len(shares) == len(maps) == done
    assert all(read_label(path).shape == (300, 400) for path in maps)
    assert all(read_image(target / f"{k:03}.png").size for k in range(done))
