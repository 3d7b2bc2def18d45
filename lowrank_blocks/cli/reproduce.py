"""``lowrank-blocks reproduce``."""

from __future__ import annotations

import argparse
from pathlib import Path

from lowrank_blocks._escaping import printable
from lowrank_blocks.cli._folders import require_folder, save
from lowrank_blocks.cli._parser import Commands, formatted
from lowrank_blocks.cli._streams import write
from lowrank_blocks.experiments.formal import FILES, reproduced


def add_to(commands: Commands) -> None:
    """Add the subcommand to the parser."""
    sub = commands.add_parser(
        "reproduce",
        help="the formal comparison on synthetic and genuine matrices",
        description="Compare global, diagonal-local and localized approximation at exactly equal parameter\n"
        "counts on every synthetic family and on the embedded update; write a report, tables and pictures.",
        formatter_class=formatted,
    )
    sub.set_defaults(run=run)
    sub.add_argument(
        "--out", type=Path, metavar="DIR", required=True, help="where report.md and its files go"
    )


def run(args: argparse.Namespace) -> int:
    """Make the formal comparison and write it to a folder."""
    require_folder(args.out, FILES)
    files = reproduced()
    save(args.out, files)
    write(f"wrote {', '.join(files)} to {printable(str(args.out))}\n")
    return 0
