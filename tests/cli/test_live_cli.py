"""`minifcn live` as a user meets it: it says where the page is, and Ctrl-C ends it."""

import os
import re
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

from minifcn.cli import main
from minifcn.live.answer import unpack
from tests.live.serving import encode, network, photo

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    network().save(path)
    return path


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one child process")
def test_it_serves_until_ctrl_c(model):
    process = subprocess.Popen(
        [sys.executable, "-m", "minifcn", "live", str(model), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.fullmatch(r"open http://(127\.0\.0\.1):(\d+)/ in a browser; Ctrl-C ends\n", said)
        assert found, said
        connection = HTTPConnection(found[1], int(found[2]), timeout=20)
        connection.request("GET", "/")
        page = connection.getresponse()
        assert page.status == 200 and b"<title>minifcn live</title>" in page.read()
        connection.request("POST", "/frame", encode(photo(24, 32)), {"Content-Type": "image/png"})
        _, class_map = unpack(connection.getresponse().read())
        assert class_map.shape == (24, 32)
        process.send_signal(signal.SIGINT)  # while a connection is open
        output, errors = process.communicate(timeout=20)
        connection.close()
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, output) == (0, "")
    assert errors == "1 frame for 1 client, 0 requests refused\n"


@pytest.mark.parametrize(
    "options, words",
    [
        (["--host", "0.0.0.0"], "which other machines can reach"),
        (["--host", "no.such.host.invalid"], "no address here"),
        (["--port", "70000"], "--port is 70000, expected 0..65535"),
    ],
)
def test_a_mistake_is_one_line(model, options, words, capsys):
    assert main(["live", str(model), *options]) == 1
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and error.startswith("minifcn live: ")


def test_an_open_server_warns(model, capsys, monkeypatch):
    from minifcn.cli import live

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(live, "wait", interrupted)
    assert main(["live", str(model), "--port", "0", "--host", "0.0.0.0", "--open-to-network"]) == 0
    assert "warning: everyone who can reach 0.0.0.0" in capsys.readouterr().err
