"""What the live server refuses, in which words, and that it stays up."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from minifcn.images import ImageSizeError, decode_image
from minifcn.live import Server
from tests.live.serving import (
    SMALL,
    alive,
    encode,
    head,
    network,
    photo,
    raw,
    reason,
    send,
    status_of,
)

PNG = encode(photo(24, 32))
JPEG = encode(photo(24, 32), "JPEG")


@pytest.fixture(scope="module")
def server():
    with Server(network(), port=0, limits=SMALL) as server:
        yield server


@pytest.mark.parametrize(
    "method, path, status, words",
    [
        ("GET", "/nowhere", 404, "nothing here"),
        ("GET", "/../setup.py", 404, "nothing here"),
        ("GET", "/%2e%2e/setup.py", 404, "nothing here"),
        ("GET", "/page/index.html", 404, "nothing here"),
        ("GET", "/frame", 405, "GET is not for /frame, which takes POST"),
        ("OPTIONS", "/frame", 405, "OPTIONS is not for /frame"),
        ("PUT", "/frame", 405, "PUT is not for /frame"),
        ("BREW", "/frame", 405, "BREW is not for /frame"),
        ("DELETE", "/", 405, "DELETE is not for /, which takes GET and HEAD"),
        ("POST", "/model.json", 405, "POST is not for /model.json"),
    ],
)
def test_other_addresses_and_methods(server, method, path, status, words):
    found, headers, body = send(server, None, method=method, path=path)
    assert found == status and words in reason(body)
    assert ("Allow" in headers) == (status == 405)
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "body, headers, status, words",
    [
        (PNG, {"Content_Type": "text/plain"}, 415, "Content-Type is 'text/plain'"),
        (PNG, {"Content_Type": "multipart/form-data"}, 415, "expected one of image/jpeg"),
        (b"", {}, 400, "is an empty file"),
        (b"<svg/>", {}, 400, "no image format of JPEG, PNG, WEBP"),
        (PNG[:100], {}, 400, "cannot be decoded"),
        (JPEG[: len(JPEG) // 2], {}, 400, "cannot be decoded"),
        (encode(photo(24, 32), "GIF"), {}, 400, "no image format of"),
        (encode(photo(24, 32), "TIFF"), {}, 400, "no image format of"),
        (encode(photo(201, 250)), {}, 413, "201 x 250 = 50250 pixels, expected at most 50000"),
        (PNG, {"X_Client": "a b"}, 400, "X-Client is no name"),
        (PNG, {"X_Client": "a" * 65}, 400, "X-Client is no name"),
        (PNG, {"path": "/frame?boxes=2"}, 400, "the query is unknown"),
        (PNG, {"path": "/frame?size=2"}, 400, "the query is unknown"),
    ],
)
def test_other_uploads(server, body, headers, status, words):
    found, _, answer = send(server, body, **headers)
    assert found == status and words in reason(answer)
    assert alive(server)


def test_an_upload_is_measured_before_it_is_read(server):
    kind = "Content-Type: image/png"
    began = time.monotonic()
    answer = raw(server, head(kind, "Content-Length: 999999999999"), end=True)
    assert status_of(answer) == 413 and "expected at most 300000" in reason(answer)
    asked = head(kind, "Content-Length: 999999999999", "Expect: 100-continue")
    assert status_of(raw(server, asked, end=True)) == 413
    assert time.monotonic() - began < SMALL.seconds
    status, _, body = send(server, bytes(SMALL.upload + 1))
    assert status == 413 and "300001 bytes" in reason(body)


def test_who_asks_first_is_told_to_go_on(server):
    asked = head("Content-Type: image/png", f"Content-Length: {len(PNG)}", "Expect: 100-continue")
    answer = raw(server, asked + PNG, end=True)
    assert answer.startswith(b"HTTP/1.1 100 ") and b"HTTP/1.1 200 " in answer


@pytest.mark.parametrize(
    "lines, status, words",
    [
        ((), 411, "no Content-Length"),
        (("Transfer-Encoding: chunked",), 411, "chunks are not taken"),
        (("Transfer-Encoding: chunked", "Content-Length: 5"), 411, "chunks are not taken"),
        (("Content-Length: -1",), 400, "no whole number"),
        (("Content-Length: 1e3",), 400, "no whole number"),
        (("Content-Length: +5",), 400, "no whole number"),
        (("Content-Length: 5", "Content-Length: 6"), 400, "no whole number"),
        (("Content-Length: 5",), 400, "ends after 0 of 5 bytes"),
    ],
)
def test_the_length_of_an_upload_must_be_plain(server, lines, status, words):
    answer = raw(server, head("Content-Type: image/png", *lines), end=True)
    assert status_of(answer) == status and words in reason(answer)
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # a browser that tries https
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        head("Content-Length: 28", request="GET / HTTP/1.1") + b"GET /model.json HTTP/1.1\r\n\r\n",
        bytes(range(256)) * 20,
    ],
)  # fmt: skip
def test_what_is_no_request_is_answered_once_and_the_connection_ends(server, data):
    answer = raw(server, data, end=True)
    assert 400 <= status_of(answer) <= 505 and reason(answer)
    assert answer.count(b"HTTP/1.1 ") == 1 and b"Connection: close" in answer
    assert alive(server)


def bomb(W: int, H: int) -> bytes:
    """A PNG of W x H white pixels in few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    row = b"\0" + b"\xff" * ((W + 7) // 8)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(H)) + packer.flush()
    header = struct.pack(">IIBBBBB", W, H, 1, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_the_pixels_of_a_bomb_are_never_unpacked(server):
    data = bomb(12_000, 7_000)
    assert len(data) < 100_000
    tracemalloc.start()
    status, _, body = send(server, data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert status == 413 and "7000 x 12000 = 84000000 pixels" in reason(body)
    assert peak < 5_000_000
    assert decode_image(data, name="it", most=84_000_000).shape == (7_000, 12_000, 3)
    with pytest.raises(ImageSizeError):
        decode_image(data, name="it", most=83_999_999)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_that_pillow_itself_minds_is_refused(server):
    for side in (10_000, 20_000):  # Pillow warns of one and refuses the other
        status, _, body = send(server, bomb(side, side))
        assert status in (400, 413) and "pixels" in reason(body)
    assert alive(server)


def test_a_jpeg_of_very_many_scans_is_refused(server):
    """Each of them goes over all pixels: some bytes would keep a core busy for minutes."""
    data = encode(photo(24, 32), "JPEG", progressive=True)
    assert send(server, data)[0] == 200
    scan = data.rindex(b"\xff\xda")
    again = data[:-2] + data[scan:-2] * 300 + data[-2:]
    status, _, body = send(server, again)
    assert status == 400 and "scans, expected at most 200" in reason(body)


@settings(max_examples=60)
@given(st.sampled_from([PNG, JPEG]), st.integers(0, 10**6), st.binary(min_size=1, max_size=8))
def test_damaged_pictures_are_seen_or_refused(data, at, other):
    at %= len(data)
    try:
        seen = decode_image(data[:at] + other + data[at + len(other) :], name="it", most=50_000)
    except ValueError as error:
        assert "it: " in str(error)
    else:
        assert seen.dtype == np.uint8 and seen.shape[2] == 3


def test_pictures_of_every_mode_become_rgb():
    for mode in ("1", "L", "P", "LA", "RGBA", "I;16"):
        data = io.BytesIO()
        Image.new(mode, (5, 4)).save(data, "PNG")
        assert decode_image(data.getvalue(), name="it", most=20).shape == (4, 5, 3)
