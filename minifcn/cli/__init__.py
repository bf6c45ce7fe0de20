"""cli: the `minifcn` command. One file per subcommand: its arguments and what it does."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

COMMANDS = ("demo", "train", "evaluate", "predict", "gradcheck")

EPILOG = """examples:
  minifcn demo                                      train on generated scenes, see the result
  minifcn train camvid --out runs/camvid            train on a folder of photos and masks
  minifcn evaluate runs/camvid camvid/val           scores, class by class
  minifcn predict runs/camvid photo.jpg --out seen  where is what in this photo?
  minifcn gradcheck conv2d                          is its derivative right?
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; 0 if all went well, 1 for a user's mistake, 130 after Ctrl-C."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        return code
    except KeyboardInterrupt:
        print(f"minifcn {arguments.command}: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except (ValueError, OSError, FloatingPointError, RuntimeError, MemoryError) as error:
        if arguments.debug:
            raise
        print(f"minifcn {arguments.command}: {error or type(error).__name__}", file=sys.stderr)
        return 1


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
