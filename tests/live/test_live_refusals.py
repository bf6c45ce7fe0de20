"""What the live server refuses, in which words, and that it stays up."""

from __future__ import annotations

import io
import socket
import struct
import threading
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
from tests.live.serving import SMALL, alive, connect, encode, network, photo, raw, reason, send

PNG = encode(photo(24, 32))
JPEG = encode(photo(24, 32), "JPEG")


@pytest.fixture(scope="module")
def server():
    with Server(network(), port=0, limits=SMALL) as server:
        yield server


def head(*lines: str, request: str = "POST /frame HTTP/1.1", host: str = "localhost") -> bytes:
    return "\r\n".join([request, f"Host: {host}", *lines, "", ""]).encode()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


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


@pytest.mark.parametrize(
    "host, status",
    [
        *((name, 200) for name in ("localhost", "LOCALHOST:1", "127.0.0.1:80", "[::1]:8000")),
        *((name, 403) for name in ("evil.example", "localhost.evil.example:8000", "10.0.0.1")),
        *((name, 400) for name in ("", "a b", "localhost:x", "user@localhost", "[::1", "a/b")),
    ],
)
def test_only_names_of_this_machine_lead_here(server, host, status):
    """DNS rebinding: a stranger's name that was made to mean 127.0.0.1."""
    lines = ("Content-Type: image/png", f"Content-Length: {len(PNG)}", "Connection: close")
    answer = raw(server, head(*lines, host=host) + PNG)
    assert status_of(answer) == status
    for path in ("/", "/model.json"):
        page = raw(server, head("Connection: close", request=f"GET {path} HTTP/1.1", host=host))
        assert status_of(page) == status


def test_two_hosts_or_none_are_refused(server):
    request = b"GET / HTTP/1.1\r\n"
    for hosts in (b"", b"Host: localhost\r\nHost: evil.example\r\n"):
        assert status_of(raw(server, request + hosts + b"\r\n", end=True)) == 400


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"Origin": "http://{host}", "Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "none"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "https://{host}"}, 403),
        ({"Origin": "http://localhost:1"}, 403),  # another server on this machine
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
    ],
)
def test_only_our_own_page_may_send_frames(server, headers, status):
    host = f"127.0.0.1:{server.server_address[1]}"
    given = {name: value.format(host=host) for name, value in headers.items()}
    found, _, body = send(server, PNG, **given)
    assert found == status
    if status == 403:
        assert "page" in reason(body)
    assert send(server, None, method="GET", path="/model.json", **given)[0] == status


def test_a_link_from_elsewhere_may_lead_to_the_page(server):
    found = send(server, None, method="GET", path="/", Sec_Fetch_Site="cross-site")
    assert found[0] == 200
    found = send(server, None, method="GET", path="/live.js", Sec_Fetch_Site="cross-site")
    assert found[0] == 403


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


def test_who_sends_slowly_is_told_and_holds_nobody_up(server):
    lines = ("Content-Type: image/png", "Content-Length: 1000")
    with socket.create_connection(server.server_address, 10) as slow:
        slow.sendall(head(*lines))
        began = time.monotonic()
        slow.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() - began < 5 * SMALL.seconds:
            slow.sendall(b"\0")  # now and then a byte, so that no single read is slow
            assert alive(server)
            try:
                answer = slow.recv(1 << 16)
            except TimeoutError:
                pass
    assert status_of(answer) == 408 and "more than 1 s" in reason(answer)
    assert SMALL.seconds <= time.monotonic() - began < 3 * SMALL.seconds


def test_a_request_whose_head_never_ends_is_dropped(server):
    began = time.monotonic()
    assert raw(server, b"GET / HTTP/1.1\r\nHost: loc") == b""
    assert time.monotonic() - began < 2.5 * SMALL.seconds


def test_who_goes_away_in_the_middle_is_forgotten(server):
    for data in (head("Content-Type: image/png", "Content-Length: 9999") + b"half", b"POST"):
        with socket.create_connection(server.server_address, 5) as gone:
            gone.sendall(data)
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert alive(server)


def test_more_connections_than_wanted_are_told_so_and_later_ones_are_closed():
    with Server(network(), port=0, limits=SMALL) as server:
        idle = [connect(server) for _ in range(SMALL.connections)]
        for connection in idle:
            connection.request("GET", "/model.json")
            assert connection.getresponse().read()
        crowded = [connect(server) for _ in range(SMALL.connections)]
        for connection in crowded:
            connection.connect()
        status, _, body = answer(crowded[0])
        assert status == 503 and "too many connections" in reason(body)
        crowded[0].connect()
        with pytest.raises(OSError):
            for _ in range(2):  # the second surely finds the door closed
                answer(connect(server))
        for connection in [*idle, *crowded]:
            connection.close()
        limit = time.monotonic() + 5
        while server.open and time.monotonic() < limit:
            threading.Event().wait(0.01)
        assert alive(server)


def answer(connection):
    connection.request("GET", "/model.json")
    reply = connection.getresponse()
    return reply.status, dict(reply.headers), reply.read()


def test_an_address_for_others_needs_to_be_wanted():
    for host in ("0.0.0.0", "::"):
        with pytest.raises(ValueError, match="--open-to-network"):
            Server(network(), host, 0)
    with pytest.raises(ValueError, match="no address here"):
        Server(network(), "no.such.host.invalid", 0)
    with Server(network(), "0.0.0.0", 0, open_to_network=True) as server:
        page = head("Connection: close", request="GET / HTTP/1.1", host="192.168.7.7:8000")
        assert status_of(raw(server, page)) == 200, "an address cannot be rebound"
        evil = head(request="GET / HTTP/1.1", host="evil.example")
        assert status_of(raw(server, evil, end=True)) == 403


def test_a_port_that_is_taken_is_named(server):
    port = server.server_address[1]
    with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 cannot be had"):
        Server(network(), port=port)


def test_pictures_of_every_mode_become_rgb():
    for mode in ("1", "L", "P", "LA", "RGBA", "I;16"):
        data = io.BytesIO()
        Image.new(mode, (5, 4)).save(data, "PNG")
        assert decode_image(data.getvalue(), name="it", most=20).shape == (4, 5, 3)
