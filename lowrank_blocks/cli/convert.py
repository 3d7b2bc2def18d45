"""``lowrank-blocks convert``: an adapter of any family, from one of another or from two checkpoints."""

from __future__ import annotations

import argparse
from pathlib import Path

from lowrank_blocks.adapters.written import CONFIG, TENSORS
from lowrank_blocks.cli._families import DTYPES, add_family, report
from lowrank_blocks.cli._folders import require_folder
from lowrank_blocks.cli._models import LAYOUTS
from lowrank_blocks.cli._parser import EXAMPLES, Commands, formatted
from lowrank_blocks.models.families import convert, extract_family


def add_to(commands: Commands) -> None:
    """Add the subcommand to the parser."""
    sub = commands.add_parser(
        "convert",
        help="turn an adapter, or two checkpoints, into the nearest adapter of any family of PEFT",
        description="Write the nearest adapter of a family of PEFT to an adapter directory of any family;\n"
        "or, with --base and --tuned and no ADAPTER, to the difference of two checkpoints.",
        epilog=EXAMPLES,
        formatter_class=formatted,
    )
    sub.set_defaults(run=run)
    add = sub.add_argument
    add("adapter", nargs="?", type=Path, metavar="ADAPTER", help="an adapter directory")
    add_family(sub, "what is written", required=True)
    add("--base", type=Path, metavar="B", help="checkpoint before fine-tuning, where a family needs it")
    add("--tuned", type=Path, metavar="T", help="checkpoint after fine-tuning, in place of ADAPTER")
    add("--include", metavar="RE", help="of checkpoints: only matrices in whose name this is found")
    add("--exclude", metavar="RE", help="of checkpoints: no matrices in whose name this is found")
    add(
        "--fan-in-fan-out",
        choices=LAYOUTS,
        default="auto",
        help="of checkpoints: whether weights are stored as (in, out); auto asks the configuration",
    )
    add("--dtype", choices=DTYPES, default="float32", help="type of the numbers (default float32)")
    add("--base-model", metavar="NAME", help="name or path of the base model, for whoever loads the adapter")
    add("--out", type=Path, required=True, metavar="DIR", help="the directory of the new adapter")


def run(args: argparse.Namespace) -> int:
    """Write the adapter, and print what it misses."""
    _require_source(args)
    require_folder(args.out, (CONFIG, TENSORS))
    given = {"dtype": args.dtype, "base_model": args.base_model}
    if args.adapter is not None:
        return report(convert(args.adapter, args.out, args.family, base=args.base, **given))
    return report(
        extract_family(
            args.base,
            args.tuned,
            args.out,
            args.family,
            include=args.include,
            exclude=args.exclude,
            fan_in_fan_out=LAYOUTS[args.fan_in_fan_out],
            **given,
        )
    )


def _require_source(args: argparse.Namespace) -> None:
    """Refuse options that do nothing, and none or two sources."""
    if (args.adapter is None) == (args.tuned is None):
        raise ValueError("exactly one of ADAPTER and --tuned must be given.")
    if args.tuned is not None and args.base is None:
        raise ValueError("--base and --tuned must both be given.")
    for option, default in {"include": None, "exclude": None, "fan_in_fan_out": "auto"}.items():
        if args.adapter is not None and getattr(args, option) != default:
            raise ValueError(f"--{option.replace('_', '-')} must come with --base and --tuned.")
