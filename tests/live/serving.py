"""What the tests of the live server share: a small network, pictures as bytes, plain requests."""

from __future__ import annotations

import io
import json
import socket
import threading
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any

import numpy as np
from PIL import Image

from minifcn.data import Classes, Normalize
from minifcn.infer import Prediction, Predictor
from minifcn.live import Limits, Server
from minifcn.models import FCN, SmallEncoder

CLASSES = Classes(("background", "road", "tree"), ((0, 0, 0), (200, 30, 30), (30, 200, 60)))
SMALL = Limits(
    upload=300_000, pixels=50_000, clients=3, connections=6, seconds=1.0, idle=5.0, stay=0.5
)


@dataclass(frozen=True)
class Held(Predictor):
    """A network that waits until it may go on, and tells that it has begun."""

    go: threading.Event = field(default_factory=threading.Event)
    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __call__(self, photo: np.ndarray, probability: bool = False) -> Prediction:
        if photo.shape[:2] != (360, 480):  # the frame that warms it up
            self.begun.release()
            assert self.go.wait(30)
        return super().__call__(photo, probability)


def network(kind: type[Predictor] = Predictor, seed: int = 0, **changes: Any) -> Predictor:
    """Random weights large enough that every class wins somewhere."""
    rng = np.random.default_rng(seed)
    model = FCN(SmallEncoder(width=4, depth=3), classes=3)
    for parameter in model.parameters():
        parameter.data[...] = rng.standard_normal(parameter.shape) * 0.3
    model.eval()
    return kind(model, CLASSES, Normalize((0.4, 0.4, 0.4), (0.2, 0.2, 0.2)), **changes)


def photo(H: int, W: int, seed: int = 0) -> np.ndarray:
    """A picture with large and small spots."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (H // 8 + 1, W // 8 + 1, 3)).astype(np.float64)
    fine = coarse.repeat(8, axis=0).repeat(8, axis=1)[:H, :W]
    return (0.8 * fine + 0.2 * rng.integers(0, 256, (H, W, 3))).astype(np.uint8)


def encode(picture: np.ndarray | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """A picture as the bytes of a file."""
    file = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(file, kind, **options)
    return file.getvalue()


def connect(server: Server) -> HTTPConnection:
    return HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)


def send(
    server: Server,
    body: bytes | None,
    *,
    method: str = "POST",
    path: str = "/frame",
    **headers: str,
) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own; X_Client=... becomes X-Client."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        given.setdefault("Content-Type", "image/png")
    connection = connect(server)
    try:
        connection.request(method, path, body, given)
        reply = connection.getresponse()
        return reply.status, dict(reply.headers), reply.read()
    finally:
        connection.close()


def raw(server: Server, data: bytes, end: bool = False) -> bytes:
    """What comes back for these very bytes, until the server closes or 3 seconds are over."""
    with socket.create_connection(("127.0.0.1", server.server_address[1]), 3) as s:
        s.sendall(data)
        if end:
            s.shutdown(socket.SHUT_WR)
        parts = []
        try:
            while part := s.recv(1 << 16):
                parts.append(part)
        except OSError:
            pass
    return b"".join(parts)


def reason(data: bytes) -> str:
    """The sentence of a refusal."""
    found = json.loads(data.rpartition(b"\r\n\r\n")[2])
    assert set(found) == {"error"} and found["error"] and not found["error"].endswith(".")
    words: str = found["error"]
    return words


def alive(server: Server) -> bool:
    """Whether a plain request is answered."""
    return send(server, encode(photo(24, 32)))[0] == 200


def head(*lines: str, request: str = "POST /frame HTTP/1.1", host: str = "localhost") -> bytes:
    return "\r\n".join([request, f"Host: {host}", *lines, "", ""]).encode()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])
