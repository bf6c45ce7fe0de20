"""handler: one connection: requests are read, checked, answered; what is wrong is said in JSON.

GET  /             the page; /live.css, /live.js and /icon.svg with it
GET  /model.json   classes, colours, device, limits
POST /frame        a photo (JPEG, PNG, WebP) -> what is on it, see answer.py; ?boxes=1 adds boxes

Whatever is not served is {"error": one sentence} with a status of HTTP's.
"""

from __future__ import annotations

import io
import json
import re
import socket
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as NotInTime
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from ..images import ImageError, ImageSizeError, UInt8, decode_image
from .answer import facts, pack, png
from .deadline import DeadlineReader
from .gate import SAFE
from .refusal import Refusal

if TYPE_CHECKING:
    from .server import Server

PICTURES = ("image/jpeg", "image/png", "image/webp")
CLIENT = re.compile(r"[A-Za-z0-9-]{1,64}")
LINGER = 2.0  # seconds in which a refused upload is read away, so that the answer arrives
CHUNK = 1 << 16


class Handler(BaseHTTPRequestHandler):
    """Reads up to a deadline, writes a whole answer at once."""

    protocol_version = "HTTP/1.1"
    server_version = "minifcn"
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        """A deadline instead of a timeout for each read; answers are put together in memory."""
        super().setup()
        self.reader = DeadlineReader(self.connection)
        self.rfile = self.incoming = io.BufferedReader(self.reader, CHUNK)
        self.wfile = self.outgoing = io.BytesIO()
        self.unread = True  # the body of the request, if it has one

    def handle_one_request(self) -> None:
        """One request; its first byte may take a while, the rest may not."""
        limits = self.server.limits
        try:
            self.reader.allow(limits.idle)
            if self.incoming.peek(1):
                self.reader.allow(limits.seconds)
                self.unread = True
                super().handle_one_request()
            else:
                self.close_connection = True
            self._send()
        except OSError:  # too slow, gone away, or the server is stopping
            self.close_connection = True

    def parse_request(self) -> bool:
        """The head of a request, and whether it may go on at all."""
        if not super().parse_request():
            return False
        try:
            self._admit()
        except Refusal as refusal:
            self._refuse(refusal)
            return False
        return True

    def handle_expect_100(self) -> bool:
        """Who asks before an upload is told to send it only if it would be taken."""
        try:
            self._admit()
            self._length()
        except Refusal as refusal:
            self._refuse(refusal)
            return False
        super().handle_expect_100()
        self._send()
        return True

    def do_GET(self) -> None:
        """Answer by the route that was found when the head was read."""
        try:
            self.route()
        except Refusal as refusal:
            self._refuse(refusal)
        except OSError:
            raise
        except Exception as error:  # our mistake, or the network's: the server stays up
            self.server.note(error)
            self._refuse(Refusal(500, f"{type(error).__name__}: {error}"))

    do_HEAD = do_POST = do_GET  # noqa: N815 - names that the base class asks for

    def _admit(self) -> None:
        if self.server.is_crowded(self.connection):
            raise Refusal(503, "too many connections; try again in a while", {"Retry-After": "1"})
        length = self.headers.get("Content-Length", "0").strip()
        self.unread = length != "0" or "Transfer-Encoding" in self.headers
        navigation = self.command == "GET" and self.path == "/"
        self.server.gate.check(self.headers, navigation)
        self.route = self._route()

    def _route(self) -> Callable[[], None]:
        address = urlsplit(self.path)
        self.query = dict(parse_qsl(address.query, keep_blank_values=True))
        routes = {"/model.json": self._model, "/frame": self._frame}
        if address.path in self.server.page:
            route: Callable[[], None] = self._page
        elif address.path in routes:
            route = routes[address.path]
        else:
            raise Refusal(404, "there is nothing here; see / and /model.json")
        allowed = ("POST",) if address.path == "/frame" else ("GET", "HEAD")
        if self.command not in allowed:
            words = " and ".join(allowed)
            raise Refusal(
                405,
                f"{self.command[:16]} is not for {address.path}, which takes {words}",
                {"Allow": ", ".join(allowed)},
            )
        self.address = address.path
        if self.unread and self.command != "POST":
            raise Refusal(400, f"{self.command} {address.path} takes no content")
        return route

    def _page(self) -> None:
        kind, content = self.server.page[self.address]
        self._reply(200, kind, content)

    def _model(self) -> None:
        self._reply(200, "application/json", json.dumps(self.server.description()).encode())

    def _frame(self) -> None:
        kind = self.headers.get("Content-Type", "")
        if kind.partition(";")[0].strip().lower() not in PICTURES:
            expected = ", ".join(PICTURES)
            raise Refusal(415, f"Content-Type is {kind[:80]!r}, expected one of {expected}")
        length = self._length()
        unknown = {*self.query} - {"boxes"}
        boxes = self.query.get("boxes", "0")
        if unknown or boxes not in ("0", "1"):
            raise Refusal(400, "the query is unknown, expected ?boxes=0 or ?boxes=1")
        name = self.headers.get("X-Client")
        if name is not None and not CLIENT.fullmatch(name):
            raise Refusal(400, "X-Client is no name, expected up to 64 letters, digits and hyphens")
        place = name or f"{self.client_address[0]}:{self.client_address[1]}"
        with self.server.clients.place(place, stays=name is not None):
            photo = self._photo(self._body(length))
            self._see(place, photo, boxes == "1")

    def _see(self, client: str, photo: UInt8, boxes: bool) -> None:
        start = time.perf_counter()
        waiting = self.server.worker.ask(client, photo, probability=boxes)
        try:
            seen = waiting.result(self.server.limits.patience)
        except NotInTime:
            raise Refusal(504, f"no answer in {self.server.limits.patience:g} s") from None
        waited = round(time.perf_counter() - start - seen.seconds, 6)
        classes = self.server.worker.predictor.classes
        found = facts(seen, classes, boxes, waited=max(0.0, waited))
        if "image/png" in self.headers.get("Accept", ""):
            more = {"X-Minifcn": json.dumps(found)}
            self._reply(200, "image/png", png(seen.class_map, classes), more)
        else:
            more = {"Content-Encoding": "deflate"}
            self._reply(200, "application/octet-stream", pack(found, seen.class_map), more)

    def _length(self) -> int:
        """The length of the upload, in bytes."""
        if "Transfer-Encoding" in self.headers:
            raise Refusal(411, "the upload has no Content-Length, but chunks are not taken")
        found = self.headers.get_all("Content-Length", [])
        if not found:
            raise Refusal(411, "the upload has no Content-Length")
        if len(found) > 1 or not re.fullmatch("[0-9]{1,18}", found[0]):
            raise Refusal(400, "Content-Length is no whole number")
        most = self.server.limits.upload
        if int(found[0]) > most:
            raise Refusal(413, f"the upload has {found[0]} bytes, expected at most {most}")
        return int(found[0])

    def _body(self, length: int) -> bytes:
        try:
            data = self.incoming.read(length)
        except TimeoutError:
            seconds = self.server.limits.seconds
            raise Refusal(408, f"the upload took more than {seconds:g} s") from None
        self.unread = False
        if len(data) < length:
            raise Refusal(400, f"the upload ends after {len(data)} of {length} bytes")
        return data

    def _photo(self, data: bytes) -> UInt8:
        try:
            with self.server.unpacking:
                return decode_image(data, name="the upload", most=self.server.limits.pixels)
        except ImageError as error:
            status = 413 if isinstance(error, ImageSizeError) else 400
            raise Refusal(status, str(error).removeprefix("decode_image: ")) from None

    def _reply(
        self, status: int, kind: str, content: bytes, more: dict[str, str] | None = None
    ) -> None:
        self.request_version = self.protocol_version  # a head also where the request had none
        self.send_response(status)
        fixed = {"Content-Type": kind, "Content-Length": str(len(content)), **SAFE}
        for name, value in {**fixed, **(more or {})}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.outgoing.write(content)

    def _refuse(self, refusal: Refusal) -> None:
        self.server.refused += 1
        self.close_connection |= self.unread
        text = json.dumps({"error": refusal.reason}).encode()
        self._reply(refusal.status, "application/json", text, refusal.headers)
        if self.unread:
            self._linger()

    def _linger(self) -> None:
        """End the answer, then read what is still coming: a closed door would swallow both."""
        try:
            self._send()
            self.connection.shutdown(socket.SHUT_WR)
            self.reader.allow(LINGER)
            while self.incoming.read1(CHUNK):
                pass
        except OSError:
            pass

    def _send(self) -> None:
        """The answer so far, within one timeout for all of it."""
        data = self.outgoing.getvalue()
        self.outgoing.seek(0)
        self.outgoing.truncate()
        if data:
            self.connection.settimeout(self.server.limits.seconds)
            self.connection.sendall(data)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class finds wrong with a request, in our form."""
        self.unread = True  # whatever follows cannot be trusted to be a request
        self._refuse(Refusal(int(code), message or self.responses[code][0]))

    def version_string(self) -> str:
        """The header `Server`."""
        return self.server_version

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged: at 20 frames per second nobody reads that."""
