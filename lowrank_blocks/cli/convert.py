"""``lowrank-blocks convert``: an adapter of any family, from a LoRA or from two checkpoints."""

from __future__ import annotations

import argparse
from pathlib import Path

from lowrank_blocks import peft
from lowrank_blocks.adapters.written import CONFIG, TENSORS
from lowrank_blocks.cli._folders import require_folder
from lowrank_blocks.cli._models import report_failures
from lowrank_blocks.cli._parser import EXAMPLES, Commands, formatted
from lowrank_blocks.cli._streams import write
from lowrank_blocks.models.families import convert, extract_family

_FAMILIES = {
    name.lower(): value
    for name, value in vars(peft).items()
    if isinstance(value, type) and issubclass(value, peft.Family) and value is not peft.Family
}
_DTYPES = ("float32", "float64", "float16", "bfloat16")


def add_to(commands: Commands) -> None:
    """Add the subcommand to the parser."""
    sub = commands.add_parser(
        "convert",
        help="turn a LoRA, or two checkpoints, into the nearest adapter of any family of PEFT",
        description="Write the nearest adapter of a family of PEFT to a LoRA directory; or, with --base and\n"
        "--tuned and no ADAPTER, to the difference of two checkpoints.",
        epilog=EXAMPLES,
        formatter_class=formatted,
    )
    sub.set_defaults(run=run)
    add = sub.add_argument
    add("adapter", nargs="?", type=Path, metavar="ADAPTER", help="a LoRA directory")
    add(
        "--family",
        type=_spelt,
        required=True,
        metavar="F",
        help=f"its name and numbers, such as gralora:8x2, oft:16 or ia3; of {', '.join(_FAMILIES)}",
    )
    add("--base", type=Path, metavar="B", help="checkpoint before fine-tuning, where the family needs it")
    add("--tuned", type=Path, metavar="T", help="checkpoint after fine-tuning, in place of ADAPTER")
    add("--include", metavar="RE", help="of checkpoints: only matrices in whose name this is found")
    add("--exclude", metavar="RE", help="of checkpoints: no matrices in whose name this is found")
    add("--dtype", choices=_DTYPES, default="float32", help="type of the numbers (default float32)")
    add("--base-model", metavar="NAME", help="name or path of the base model, for whoever loads the adapter")
    add("--out", type=Path, required=True, metavar="DIR", help="the directory of the new adapter")


def run(args: argparse.Namespace) -> int:
    """Write the adapter, and print what it misses."""
    _require_source(args)
    require_folder(args.out, (CONFIG, TENSORS))
    given = {"dtype": args.dtype, "base_model": args.base_model}
    if args.adapter is not None:
        made = convert(args.adapter, args.out, args.family, base=args.base, **given)
    else:
        chosen = {"include": args.include, "exclude": args.exclude}
        made = extract_family(args.base, args.tuned, args.out, args.family, **chosen, **given)
    write(f"{made.table.to_text()}relative error {made.relative_error:.4g}, as stored {made.stored:.4g}\n")
    return report_failures(made.failed)


def _require_source(args: argparse.Namespace) -> None:
    """Refuse options that do nothing, and none or two sources."""
    if (args.adapter is None) == (args.tuned is None):
        raise ValueError("exactly one of ADAPTER and --tuned must be given.")
    if args.tuned is not None and args.base is None:
        raise ValueError("--base and --tuned must both be given.")
    for option in ("include", "exclude"):
        if args.adapter is not None and getattr(args, option) is not None:
            raise ValueError(f"--{option} must come with --base and --tuned.")


def _spelt(text: str) -> peft.Family:
    """Return the family that a name and its numbers spell."""
    name, colon, rest = text.partition(":")
    numbers = rest.split("x") if colon else []
    if name.lower() not in _FAMILIES:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(_FAMILIES)}, got {text[:60]!a}")
    if not all(n.isascii() and n.isdigit() and len(n) < 10 for n in numbers):
        raise argparse.ArgumentTypeError(
            f"must have numbers such as 8 or 8x2 after the colon, got {text[:60]!a}"
        )
    try:
        made: peft.Family = _FAMILIES[name.lower()](*map(int, numbers))
    except (TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return made
