"""cli: the `minifcn` command. One file per subcommand: its arguments and what it does."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

COMMANDS = (
    "demo",
    "train",
    "evaluate",
    "predict",
    "locate",
    "detect",
    "live",
    "export",
    "inspect",
    "gradcheck",
)

# What a user can bring about; all else is our mistake, and its traceback is wanted.
MISTAKES = (
    argparse.ArgumentTypeError, FloatingPointError, MemoryError, OSError, RuntimeError, ValueError,
)  # fmt: skip

EPILOG = """examples:
  minifcn demo                                      train on generated scenes, see the result
  minifcn train camvid --out runs/camvid            train on a folder of photos and masks
  minifcn evaluate runs/camvid camvid/val           scores, class by class
  minifcn predict runs/camvid photo.jpg --out seen  where is what in this photo?
  minifcn live runs/camvid                          and through the camera, on a local page?
  minifcn locate "hot dog" a.jpg --weights squeezenet1_1.pth --out seen   a heat map and boxes
  minifcn detect runs/camvid photo.jpg --out found  things in boxes, as JSON too
  minifcn export runs/camvid camvid.onnx            the network as an ONNX file
  minifcn inspect fcn_vgg16 --draw crops.svg        what does it cost, what does it see?
  minifcn gradcheck conv2d                          is its derivative right?
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; 0 if all went well, 1 for a user's mistake, 130 after Ctrl-C.

    Like every program that uses argparse, it leaves with 2 if the arguments cannot be read.
    """
    arguments = _parser().parse_args(argv)
    code, words = 1, ""
    try:
        result: int = arguments.run(arguments)
        sys.stdout.flush()  # here, where a full disk can still be reported
        code = result
    except KeyboardInterrupt:
        code, words = 130, "stopped"
    except BrokenPipeError:  # the reader of a pipe, `| head`, has seen enough
        pass
    except MISTAKES as error:
        if arguments.debug:
            raise
        words = str(error).removeprefix(f"{arguments.command}: ") or type(error).__name__
    if words:
        print(f"minifcn {arguments.command}: {words}", file=sys.stderr)
    _end_output()
    return code


def _end_output() -> None:
    """Drop what cannot be written; Python would try again, and complain, as it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    from .. import __version__

    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="minifcn",
        description="Fully convolutional networks from scratch: train one, run it, check it.",
        epilog=EPILOG,
        formatter_class=raw,
    )
    parser.add_argument("--version", action="version", version=f"minifcn {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = importlib.import_module(f".{name}", __name__)
        text = str(module.__doc__).split(": ", 1)[1]
        sub = commands.add_parser(
            name,
            help=text.splitlines()[0].rstrip("."),
            description=text,
            epilog=module.EXAMPLES,
            formatter_class=raw,
        )
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser
