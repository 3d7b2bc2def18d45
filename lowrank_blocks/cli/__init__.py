"""The command ``lowrank-blocks``: one file a subcommand."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from lowrank_blocks import __version__
from lowrank_blocks.cli import _streams, atlas, compare, convert, extract, reproduce
from lowrank_blocks.cli._parser import EXAMPLES, Commands, Parser, formatted, parsed


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 fine, 1 some matrices left out, 2 bad usage or input.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.
    """
    _streams.prepare()
    if sys.stdout is None:
        return _streams.refuse("standard output must be open, got it closed; send it to /dev/null instead.")
    try:
        return _run(argv)
    except MemoryError:
        return _streams.refuse("the work must fit into memory, got more than there is.")
    except (OSError, TypeError, ValueError, ModuleNotFoundError) as error:
        return _streams.refuse(str(error))


def _run(argv: Sequence[str] | None) -> int:
    try:
        args = parsed(*_parser(), argv)
    except SystemExit:
        _streams.write("")  # sends off what argparse printed
        raise
    code: int = args.run(args)
    return code


def _parser() -> tuple[Parser, Commands]:
    parser = Parser(
        prog="lowrank-blocks",
        description="The best that N stored numbers can do for a weight update.",
        epilog=EXAMPLES,
        formatter_class=formatted,
    )
    parser.add_argument("--version", action="version", version=f"lowrank-blocks {__version__}")
    commands: Commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for subcommand in (compare, extract, convert, atlas, reproduce):
        subcommand.add_to(commands)
    return parser, commands
