"""refusal: a request that is not served, as an HTTP status and one sentence."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Refusal(Exception):  # noqa: N818 - no error of the program
    """`status` is one of HTTP's (RFC 9110, section 15); `reason` is for people."""

    status: int
    reason: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Limits:
    """What one request, and all of them together, may take.

    A client has at most one frame with the network, one that waits and one that arrives, so all
    uploads together take at most 3 clients (upload + 3 pixels) bytes.
    """

    upload: int = 16 << 20  # bytes of a picture file
    pixels: int = 1 << 24  # of the picture in it
    clients: int = 4  # who may send frames at the same time
    connections: int = 32  # open at the same time; as many again are told that it is too many
    seconds: float = 10.0  # for a whole request to arrive, and for a whole answer to leave
    idle: float = 30.0  # between two requests of a connection
    stay: float = 5.0  # after its last frame a client keeps its place so long
    patience: float = 120.0  # for the network's answer
