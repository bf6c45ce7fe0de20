"""gradcheck: Check the derivatives of operators against finite differences.

First and second order, in float64, on every sample that the operators declare.
"""

from __future__ import annotations

import argparse

EXAMPLES = """examples:
  minifcn gradcheck
  minifcn gradcheck conv2d conv_transpose2d --order 1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """[OP ...] [--order 1|2] [--mode full|fast] [--list]."""
    parser.add_argument("ops", metavar="OP", nargs="*", help="operators (default: all)")
    parser.add_argument("--order", type=int, choices=(1, 2), default=2)
    parser.add_argument("--mode", choices=("full", "fast"), default="full")
    parser.add_argument("--list", action="store_true", help="list the operators and end")


def run(arguments: argparse.Namespace) -> int:
    """Print the table; 1 if a derivative is wrong."""
    from .. import checks, functional  # noqa: F401 - importing functional fills the registry
    from ..core import Op

    if arguments.list:
        print("\n".join(sorted(Op.registry)))
        return 0
    rows, ok = checks.run(arguments.ops or None, arguments.order, arguments.mode)
    print(checks.table(rows, ok))
    return 0 if ok else 1
