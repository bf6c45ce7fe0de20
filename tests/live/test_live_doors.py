"""Who is let in to the live server, for how long, and how many."""

from __future__ import annotations

import socket
import struct
import threading
import time

import pytest

from minifcn.live import Server
from tests.live.serving import (
    SMALL,
    alive,
    connect,
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


@pytest.fixture(scope="module")
def server():
    with Server(network(), port=0, limits=SMALL) as server:
        yield server


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
