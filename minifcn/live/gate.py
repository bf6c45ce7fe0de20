"""gate: requests come from the page of this server, from this machine, or they are refused.

A web page of a stranger runs in the same browser and can send requests to 127.0.0.1. Two things
tell them apart, both set by the browser and not by a page:

Host    the name by which the server was called. A stranger's name that leads to 127.0.0.1 (DNS
        rebinding) is still a stranger's name; localhost and addresses cannot be taken over so.
Origin  the page that sent the request: http:// and the very same host, or the request is foreign.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from email.message import Message

from .refusal import Refusal

HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")

# What our page may do in a browser, and what others may do with it.
SAFE = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' blob:; media-src blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Gate:
    """Who may ask. `names` are host names beside localhost that are this machine's."""

    def __init__(self, address: str, names: Iterable[str] = ()) -> None:
        self.local = is_loopback(address)
        self.names = {"localhost", *(name.lower() for name in names)}

    def check(self, headers: Message, navigation: bool = False) -> None:
        """Refusal unless the request is our own page's, or comes from no page at all.

        A `navigation` (an address typed in, a link that was followed) may come from anywhere.
        """
        hosts = headers.get_all("Host", [])
        found = HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if found is None:
            raise Refusal(400, f"Host is {hosts}, expected one name or address, maybe with a port")
        if not self._is_ours(found[1].lower()):
            raise Refusal(403, f"Host is {hosts[0]!r}, which is no name of this server")
        origins = headers.get_all("Origin", [])
        if any(origin != f"http://{hosts[0]}" for origin in origins):
            raise Refusal(403, f"Origin is {origins[0]!r}, but only this server's own page may ask")
        site = headers.get("Sec-Fetch-Site", "none")
        if not navigation and site not in ("same-origin", "none"):
            raise Refusal(403, f"Sec-Fetch-Site is {site!r}, but only our own page may ask")

    def _is_ours(self, name: str) -> bool:
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return address.is_loopback or not self.local


def is_loopback(host: str) -> bool:
    """Whether a name or address reaches this machine alone, all addresses that it stands for."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"live: host is {host!r}, which is no address here ({error})") from error
    return all(ipaddress.ip_address(str(row[4][0]).split("%")[0]).is_loopback for row in found)
