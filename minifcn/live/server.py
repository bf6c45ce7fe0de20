"""server: the page and the network behind it, on one port of this machine.

Threads of the standard library: one for each connection, which reads, unpacks and packs, and one
for the network, which takes a frame at a time. A web framework would add nothing here: there are
six addresses, a few clients, and a network that takes most of the time. What http.server leaves
open (deadlines, limits, foreign pages) is in handler.py and gate.py.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import threading
import traceback
from collections.abc import Iterable
from importlib import resources
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from ..infer import Predictor, background
from ..train.threads import cores
from .clients import Clients
from .gate import Gate, is_loopback
from .handler import Handler
from .refusal import Limits
from .worker import Worker

PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/live.css": ("live.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/live.js": ("live.js", "text/javascript; charset=utf-8"),
}

GRACE = 2.0  # seconds for the last answers to leave, when the server stops


class Server(ThreadingMixIn, TCPServer):
    """Serves while it is entered; `url` leads to the page.

        with Server(predictor, port=0) as server:
            print(server.url)

    An address that other machines can reach needs `open_to_network`.
    """

    allow_reuse_address = True
    daemon_threads, block_on_close = True, False
    request_queue_size = 128

    def __init__(
        self,
        predictor: Predictor,
        host: str = "127.0.0.1",
        port: int = 8000,
        *,
        limits: Limits | None = None,
        open_to_network: bool = False,
        names: Iterable[str] = (),
    ) -> None:
        if not is_loopback(host) and not open_to_network:
            raise ValueError(
                f"live: host is {host!r}, which other machines can reach; "
                f"expected 127.0.0.1 unless that is wanted (--open-to-network)"
            )
        self.limits = limits or Limits()
        self.gate = Gate(host, (*names, *_names(host)))
        self.clients = Clients(self.limits)
        self.worker = Worker(predictor)
        folder = resources.files(__package__) / "page"
        self.page = {
            path: (kind, (folder / name).read_bytes()) for path, (name, kind) in PAGE.items()
        }
        self.open: dict[socket.socket, bool] = {}  # connection -> is it one too many?
        self.lock = threading.Lock()
        self.unpacking = threading.Semaphore(cores())  # a few times its size while it lasts
        self.refused = 0
        self.noted: set[str] = set()
        self.address_family = _family(host)
        try:
            super().__init__((host, port), Handler)
        except OSError as error:
            raise OSError(f"live: port {port} of {host} cannot be had ({error.strerror})") from None

    @property
    def url(self) -> str:
        """Where the page is."""
        host, port = self.server_address[:2]
        name = host.decode() if isinstance(host, bytes | bytearray) else str(host)
        return f"http://{f'[{name}]' if ':' in name else name}:{port}/"

    def description(self) -> dict[str, Any]:
        """What the page has to know of the network."""
        predictor = self.worker.predictor
        model: Any = predictor.model
        classes, clear = predictor.classes, background(predictor.classes)
        return {
            "name": str(model.config["name"]),
            "device": predictor.device,
            "classes": [
                {"name": name, "colour": colour, "clear": k in clear, "void": k == classes.void}
                for k, (name, colour) in enumerate(zip(classes.names, classes.colours, strict=True))
            ],
            "limits": {"upload": self.limits.upload, "pixels": self.limits.pixels},
        }

    def __enter__(self) -> Server:
        try:
            self.worker.start()
        except BaseException:
            self.server_close()
            raise
        self.thread = threading.Thread(
            target=self.serve_forever, args=(0.1,), name="minifcn live: door", daemon=True
        )
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Take no more connections, end those that are open, let the network finish its frame."""
        self.shutdown()
        self.thread.join()
        self.worker.stop()
        self.server_close()
        self.clients.wait(GRACE)
        with self.lock:
            left = list(self.open)
        for connection in left:
            _end(connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for the connection; the first ones beyond the limit are told so, others not."""
        with self.lock:
            count, most = len(self.open), self.limits.connections
            if count < 2 * most:
                self.open[request] = count >= most
        if count < 2 * most:
            super().process_request(request, client_address)
        else:
            self.refused += 1
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        """The connection is over."""
        with self.lock:
            self.open.pop(request, None)
        super().shutdown_request(request)

    def is_crowded(self, connection: socket.socket) -> bool:
        """Whether this connection came when there were enough."""
        return self.open.get(connection, False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whatever a connection's thread raises ends this connection, not the server."""
        error = sys.exc_info()[1]
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self.note(error)

    def note(self, error: Exception) -> None:
        """Print a mistake of ours, each kind once."""
        kind = type(error).__name__
        if kind not in self.noted:
            self.noted.add(kind)
            traceback.print_exception(type(error), error, error.__traceback__, file=sys.stderr)


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it has ended by itself
        pass


def _family(host: str) -> socket.AddressFamily:
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]


def _names(host: str) -> list[str]:
    """The names by which a server that others can reach may be called: its own, and `host`."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return [host]
    return [] if is_loopback(host) else [socket.gethostname()]
