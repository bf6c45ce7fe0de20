"""The command as a user meets it: every subcommand run for real on a tiny data set."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minifcn.cli import COMMANDS, main
from minifcn.data import HotDogs
from minifcn.images import read_image, read_label, write_png

TINY = ["--epochs", "2", "--batch-size", "3", "--width", "4", "--depth", "3"]


def write_split(folder, scenes):
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for index in range(len(scenes)):
        image, label = scenes[index]
        write_png(folder / "images" / f"{index}.png", image)
        write_png(folder / "labels" / f"{index}.png", label)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_split(folder / "train", HotDogs(7, (24, 32)))
    write_split(folder / "val", HotDogs(3, (24, 32), seed=1_000_000))
    classes = {"names": ["background", "hot dog"], "colours": [[0, 0, 0], [255, 160, 0]]}
    (folder / "classes.json").write_text(json.dumps({**classes, "void": None}))
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "tiny"
    assert main(["train", str(data), "--out", str(out), *TINY]) == 0
    return out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"minifcn {command}" in capsys.readouterr().out.split("examples:")[1]


def test_train_leaves_all_that_it_promises(run):
    names = {path.name for path in run.iterdir()}
    promised = {"model.safetensors", "checkpoint.safetensors", "recipe.json", "history.json"}
    assert names == promised | {"loss.png", "examples.png"}
    history = json.loads((run / "history.json").read_text())
    assert len(history["epochs"]) == 2 and len(history["losses"]) == 2 * 2
    assert 0 <= history["epochs"][-1]["scores"]["mIoU"] <= 1


def test_a_second_run_into_the_same_folder_is_refused(run, data, capsys):
    before = (run / "model.safetensors").read_bytes()
    assert main(["train", str(data), "--out", str(run), *TINY]) == 1
    assert "--resume" in capsys.readouterr().err
    assert (run / "model.safetensors").read_bytes() == before


def test_resume_goes_on_by_the_recipe_of_the_run_and_refuses_another(run, data, capsys):
    go_on = ["train", str(data), "--out", str(run), "--resume"]
    assert main(go_on) == 0
    assert "all 2 epochs are done" in capsys.readouterr().err
    before = (run / "model.safetensors").read_bytes()
    assert main([*go_on, "--lr", "0.5"]) == 1
    error = capsys.readouterr().err
    assert all(word in error for word in ("--lr is 0.5", "begun with 0.1", str(run)))
    assert (run / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("content", [None, "no json", "[]", '{"epochs": 2}'])
def test_a_run_without_a_readable_recipe_is_not_resumed(run, data, content, tmp_path, capsys):
    (tmp_path / "checkpoint.safetensors").write_bytes(b"never read")
    if content is not None:
        (tmp_path / "recipe.json").write_text(content)
    assert main(["train", str(data), "--out", str(tmp_path), "--resume"]) == 1
    assert str(tmp_path / "recipe.json") in capsys.readouterr().err


@pytest.mark.parametrize(
    "option, value, expected",
    [
        *((option, "0", "at least 1") for option in ("--epochs", "--batch-size", "--width")),
        *((option, "0", "at least 1") for option in ("--depth", "--shrink", "--evaluate-every")),
        *((option, "-1", "at least 0") for option in ("--lr", "--balance", "--seed", "--skips")),
        ("--lr", "nan", "a number"),
        ("--epochs", "2.5", "a whole number"),
    ],
)
def test_an_impossible_number_is_refused_with_its_option(option, value, expected, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", "anywhere", f"{option}={value}"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert all(word in error for word in (f"argument {option}", repr(value), expected))


def test_a_shrink_beyond_the_photo_is_refused(data, tmp_path, capsys):
    assert main(["train", str(data), "--out", str(tmp_path / "x"), "--shrink", "25"]) == 1
    error = capsys.readouterr().err
    assert all(word in error for word in ("--shrink is 25", "32 x 24", "at most 24"))


@pytest.mark.parametrize("command", ["demo", "train here", "predict model photo"])
@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_file_in_place_of_the_results_is_refused_before_the_work(
    command, below, tmp_path, capsys
):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(SystemExit):
        main([*command.split(), "--out", f"{tmp_path / 'taken'}{below}"])
    assert f"{tmp_path / 'taken'} is a file" in capsys.readouterr().err


def test_without_out_the_run_is_named_after_its_data(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(data), *TINY, "--epochs", "1"]) == 0
    assert (tmp_path / "runs" / data.name / "model.safetensors").exists()


def test_evaluate_prints_a_table_or_json_of_the_same_scores(run, data, capsys):
    assert main(["evaluate", str(run), str(data / "val")]) == 0
    table = capsys.readouterr().out
    assert main(["evaluate", str(run), str(data / "val"), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert "hot dog" in table and f"{100 * scores['mean_iou']:.1f}" in table


def test_predict_writes_an_overlay_a_class_map_and_shares(run, tmp_path, capsys):
    photo = HotDogs(1, (40, 50))[0][0]
    write_png(tmp_path / "a.png", photo)
    write_png(tmp_path / "narrow.png", photo[:, :1])
    write_png(tmp_path / "dot.png", photo[:1, :1])
    out = tmp_path / "seen"
    inputs = [str(tmp_path / name) for name in ("a.png", "narrow.png", "dot.png")]
    assert main(["predict", str(run), *inputs, "--out", str(out)]) == 0
    shares = json.loads((out / "shares.json").read_text())
    for name, size in (("a", (40, 50)), ("narrow", (40, 1)), ("dot", (1, 1))):
        class_map = read_label(out / f"{name}_classes.png")
        assert class_map.shape == size
        share = float((class_map == 1).mean())
        assert shares[f"{name}.png"].get("hot dog", 0) == pytest.approx(share, abs=1e-6)
        assert read_image(out / f"{name}.png").shape[0] >= size[0]
    assert "a.png (50 x 40" in capsys.readouterr().out


def test_tiles_give_the_class_map_of_the_whole(run, tmp_path):
    photo = HotDogs(1, (400, 500))[0][0]
    write_png(tmp_path / "large.png", photo)
    maps = []
    for memory, folder in (("1024", "whole"), ("4", "tiles")):
        out = tmp_path / folder
        arguments = [str(tmp_path / "large.png"), "--out", str(out), "--memory", memory]
        arguments += ["--shrink", "1"]
        assert main(["predict", str(run), *arguments]) == 0
        maps.append(read_label(out / "large_classes.png"))
    assert (maps[0] == maps[1]).mean() > 0.9999  # rounding may tip a pixel between equal logits


def test_a_corrupt_photo_is_named_and_the_others_are_done(run, tmp_path, capsys):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    write_png(tmp_path / "good.png", HotDogs(1, (24, 32))[0][0])
    out = tmp_path / "seen"
    assert main(["predict", str(run), str(tmp_path), "--out", str(out)]) == 1
    assert "bad.jpg" in capsys.readouterr().err
    assert (out / "good.png").exists() and not (out / "bad.png").exists()


def test_two_photos_of_one_name_are_refused_before_anything_is_written(run, tmp_path, capsys):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_png(tmp_path / folder / "same.png", np.zeros((4, 4, 3), np.uint8))
    out = tmp_path / "seen"
    assert main(["predict", str(run), str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(out)])
    assert "same.png" in capsys.readouterr().err and not out.exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["train", "nowhere", "--out", "x"], ("train", "nowhere", "no such folder")),
        (["train", __file__, "--out", "x"], ("train", "test_cli.py", "is a file")),
        (["evaluate", str(Path(__file__).parent), "x"], ("evaluate", "has no model.safetensors")),
        (["evaluate", "nowhere", "hotdogs"], ("evaluate", "nowhere", "no such file")),
        (["predict", "nowhere", "a.png", "--out", "x"], ("predict", "nowhere")),
        (["gradcheck", "conv2e"], ("gradcheck", "'conv2e'", "close to it: conv2d", "--list")),
    ],
)
def test_a_mistake_is_one_line_not_a_traceback(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert all(word in error for word in words)
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_another_data_sets_classes_are_refused(run, data, tmp_path, capsys):
    split = tmp_path / "other"
    write_split(split, HotDogs(1, (24, 32)))
    names = {"names": ["sea", "land"], "colours": [[0, 0, 255], [0, 99, 0]], "void": None}
    (split / "classes.json").write_text(json.dumps(names))
    assert main(["evaluate", str(run), str(split)]) == 1
    error = capsys.readouterr().err
    assert "sea" in error and "hot dog" in error


def test_gradcheck_of_one_operator_passes_and_names_it(capsys):
    assert main(["gradcheck", "mul"]) == 0
    assert "mul" in capsys.readouterr().out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_closed_pipe_is_silent_and_a_full_disk_is_one_line():
    """Python buffers what is printed: both show only when it is written out, at the end."""
    command = [sys.executable, "-m", "minifcn", "gradcheck", "--list"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    environment.pop("PYTHONUNBUFFERED", None)
    reader, writer = os.pipe()
    os.close(reader)
    piped = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=environment)
    os.close(writer)
    assert (piped.returncode, piped.stderr) == (1, b"")
    with open("/dev/full", "wb") as full:
        filled = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment)
    assert filled.returncode == 1
    assert filled.stderr.startswith(b"minifcn gradcheck: ") and filled.stderr.count(b"\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one child process")
@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_stops_between_steps_and_resume_ends_with_the_same_weights(
    processes, data, tmp_path
):
    # Many epochs, so that the signal comes in time on a busy machine too.
    epochs = 60
    many = ["--epochs", str(epochs), "--evaluate-every", str(epochs), "--batch-size", "3"]
    many += ["--width", "4", "--depth", "3"]
    many += ["--processes", str(processes)]
    command = [sys.executable, "-m", "minifcn", "train", str(data)]
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run([*command, *many, "--out", str(whole)], check=True, env=environment)
    process = subprocess.Popen([*command, *many, "--out", str(broken)], env=environment)
    limit = time.monotonic() + 60
    while not (broken / "checkpoint.safetensors").exists() and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    done = len(json.loads((broken / "history.json").read_text())["losses"])
    assert 0 < done < epochs * 2
    subprocess.run([*command, "--out", str(broken), "--resume"], check=True, env=environment)
    weights = [folder / "model.safetensors" for folder in (whole, broken)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_another_number_of_processes_may_go_on_and_is_said(run, data, tmp_path, capsys):
    out = tmp_path / "run"
    shutil.copytree(run, out)
    assert main(["train", str(data), "--out", str(out), "--resume", "--processes", "2"]) == 0
    error = capsys.readouterr().err
    assert "begun with 1 process, so it goes on to other bits" in error and "2 processes" in error
    assert json.loads((out / "recipe.json").read_text())["processes"] == 2


def test_more_processes_than_photos_in_a_batch_are_refused(data, tmp_path, capsys):
    assert main(["train", str(data), "--out", str(tmp_path), *TINY, "--processes", "4"]) == 1
    assert "4 processes, but batch_size of the loader is 3" in capsys.readouterr().err


def test_ctrl_c_leaves_the_shares_of_the_photos_that_were_drawn(run, tmp_path, monkeypatch, capsys):
    from minifcn.cli import frames_out

    for name in ("a", "b", "c"):
        write_png(tmp_path / f"{name}.png", HotDogs(1, (24, 32))[0][0])
    draw = frames_out.draw

    def interrupted(target, *rest):
        if target.name == "b":
            raise KeyboardInterrupt
        draw(target, *rest)

    monkeypatch.setattr(frames_out, "draw", interrupted)
    assert main(["predict", str(run), str(tmp_path), "--out", str(tmp_path / "seen")]) == 130
    assert list(json.loads((tmp_path / "seen" / "shares.json").read_text())) == ["a.png"]
    assert "stopped" in capsys.readouterr().err


def test_a_skipped_batch_is_null_in_the_history_which_stays_json(tmp_path):
    scenes = HotDogs(2, (24, 32))
    write_split(tmp_path / "train", scenes)
    nothing = np.full((24, 32), 2, np.uint8)
    write_png(tmp_path / "train" / "labels" / "1.png", nothing)
    classes = {"names": ["background", "hot dog", "unlabelled"], "void": 2}
    (tmp_path / "classes.json").write_text(json.dumps(classes))
    options = ["--epochs", "1", "--batch-size", "1", "--width", "4", "--depth", "2"]
    out = tmp_path / "run"
    assert main(["train", str(tmp_path), "--out", str(out), *options]) == 0

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    history = json.loads((out / "history.json").read_text(), parse_constant=refuse)
    assert sorted(loss is None for loss in history["losses"]) == [False, True]
