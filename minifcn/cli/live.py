"""live: Show on a local page what a network sees: camera, video file or photo.

The page runs in your browser and sends pictures to this command, on this machine only. Colours,
boxes, the share of each class and frames per second are shown as they come. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import sys
import time

from .arguments import whole
from .common import add_device, check_device, count, open_predictor

EXAMPLES = """examples:
  minifcn live demo
  minifcn live espnet.pth
  minifcn live runs/camvid --port 9000 --device cuda
  minifcn live demo --host 0.0.0.0 --open-to-network   every machine that reaches this one
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN, which network it is, where to listen, who may watch, where to compute."""
    parser.add_argument("run_folder", metavar="RUN", help="folder of a run, or a file of weights")
    parser.add_argument("--model", metavar="NAME", help="which network, if RUN does not tell")
    parser.add_argument(
        "--port", metavar="N", type=whole(0), default=8000, help="0: any that is free (8000)"
    )
    parser.add_argument(
        "--host", metavar="ADDRESS", default="127.0.0.1", help="where to listen (127.0.0.1)"
    )
    parser.add_argument(
        "--open-to-network",
        action="store_true",
        help="allow a --host that other machines can reach: no password, no encryption",
    )
    parser.add_argument(
        "--clients", metavar="N", type=whole(1), default=4, help="who may watch at a time (4)"
    )
    add_device(parser, "where to compute")


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from ..live import Limits, Server
    from ..live.gate import is_loopback

    check_device(arguments.device)
    if arguments.port > 65535:
        raise ValueError(f"--port is {arguments.port}, expected 0..65535")
    predictor = open_predictor(arguments.run_folder, arguments.model, arguments.device)
    server = Server(
        predictor,
        arguments.host,
        arguments.port,
        limits=Limits(clients=arguments.clients),
        open_to_network=arguments.open_to_network,
    )
    if not is_loopback(arguments.host):
        print(
            f"minifcn live: warning: everyone who can reach {arguments.host} may use this server, "
            f"without password or encryption; browsers give such a page no camera",
            file=sys.stderr,
        )
    with server:
        print(f"open {server.url} in a browser; Ctrl-C ends", flush=True)
        try:
            wait()
        except KeyboardInterrupt:
            pass
    print(
        f"{count(server.worker.frames, 'frame')} for {count(server.clients.seen, 'client')}, "
        f"{count(server.refused, 'request')} refused",
        file=sys.stderr,
    )
    return 0


def wait() -> None:
    """Until Ctrl-C, or SIGTERM; in a shell's background job too, where SIGINT comes ignored."""
    from ..train.interrupt import Interrupt

    with Interrupt() as interrupt:
        while not interrupt.asked:
            time.sleep(0.1)
