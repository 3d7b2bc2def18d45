"""``lowrank-blocks extract``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lowrank_blocks.cli import _models, _weights
from lowrank_blocks.cli._arguments import count, positive
from lowrank_blocks.cli._families import add_family, report
from lowrank_blocks.cli._parser import Commands, formatted
from lowrank_blocks.cli._streams import write
from lowrank_blocks.cli._structures import add_structures, structures
from lowrank_blocks.models.extraction import extract
from lowrank_blocks.models.recompression import recompress_adapter

_CANDIDATES = "global", "localized", "stripes", "column-stripes", "diagonal"  # of a plan, if none are given
_EXAMPLES = """\
examples:
  lowrank-blocks extract --base base --tuned tuned --rank 16 --out adapter
  lowrank-blocks extract --base base --tuned tuned --structure localized --ranks uniform --out adapter
  lowrank-blocks extract --base base --tuned tuned --ranks plan --save-rest --dtype bfloat16 --out adapter
  lowrank-blocks extract --base base --tuned tuned --family oft:16 --out adapter
"""


def add_to(commands: Commands) -> None:
    """Add the subcommand to the parser."""
    sub = commands.add_parser(
        "extract",
        help="write the difference of two checkpoints as an adapter that PEFT loads",
        description="Write the best approximation of the difference of two checkpoints as a PEFT adapter:\n"
        "LoRA for the global structure, GraLoRA or BD-LoRA where they hold the blocks with fewer numbers;\n"
        "or, with --family, as the nearest adapter of a family of PEFT.\n"
        "What the adapter cannot hold is listed with its share of the difference.",
        epilog=_EXAMPLES,
        formatter_class=formatted,
    )
    sub.set_defaults(run=run, default=sub.get_default)
    _models.add_checkpoints(sub)
    add = sub.add_argument
    add(
        "--adapter",
        type=Path,
        metavar="A",
        help="in place of --base and --tuned: a LoRA adapter to make smaller",
    )
    add_family(sub, "in place of a structure and a budget, a family of PEFT")
    add_structures(sub, "of all matrices (default global), or with --ranks plan one of the candidates")
    add("--blocks", type=positive, default=4, metavar="K", help="parts of each axis (default 4)")
    add("--rank", type=count, default=16, metavar="R", help="budget: R·(m+n) for each matrix (default 16)")
    add("--budget", type=count, metavar="N", help="numbers that all matrices store; goes before --rank")
    _weights.add_weights(sub, of_one=False)
    add(
        "--ranks",
        choices=("adaptive", "uniform", "plan"),
        default="adaptive",
        help="chosen across the model (default), the same everywhere, or with the structures, too",
    )
    add("--format", choices=("lora", "gralora", "bdlora"), help="by default the one with fewest numbers")
    add("--dtype", choices=("float32", "float16", "bfloat16"), default="float32", help="of the factors")
    add("--base-model", metavar="NAME", help="name of the base model for whoever loads the adapter")
    add("--save-rest", action="store_true", help="bring along what is left out, where PEFT can load it")
    add("--out", type=Path, metavar="DIR", required=True, help="the adapter directory")


def run(args: argparse.Namespace) -> int:
    """Extract the adapter, and print what was lost."""
    if args.family is not None:
        return _of_family(args)
    if args.adapter is None:
        return _of_checkpoints(args)
    if args.base is not None or args.tuned is not None:
        raise ValueError("--adapter must come without --base and --tuned.")
    _models.refuse(args, "not with --adapter")
    _weights.refuse(args, "not with --adapter")
    if args.save_rest:
        raise ValueError("--save-rest must come with --base and --tuned, not with --adapter.")
    write(f"{recompress_adapter(args.adapter, args.out, **_options(args))}\n")
    return 0


_NOT_OF_FAMILIES = (
    *("adapter", "structure", "blocks", "rank", "budget", "ranks", "row_weights", "col_weights"),
    *("format", "save_rest", "workers", "dask", "dry_run"),
)


def _of_family(args: argparse.Namespace) -> int:
    for option in _NOT_OF_FAMILIES:
        if getattr(args, option) != args.default(option):
            raise ValueError(f"--{option.replace('_', '-')} must not be given with --family.")
    _models.require_both(args)
    return report(
        extract(
            args.base,
            args.tuned,
            args.out,
            structure=args.family,
            dtype=args.dtype,
            base_model=args.base_model,
            include=args.include,
            exclude=args.exclude,
            fan_in_fan_out=_models.LAYOUTS[args.fan_in_fan_out],
        )
    )


def _of_checkpoints(args: argparse.Namespace) -> int:
    updates = _models.opened(args)
    if args.dry_run:
        write(_models.dry_run(updates, args.rank, args.budget))
        return 0
    with _models.executor(args) as executor:
        made = extract(
            args.base,
            args.tuned,
            args.out,
            save_rest=args.save_rest,
            include=args.include,
            exclude=args.exclude,
            fan_in_fan_out=_models.LAYOUTS[args.fan_in_fan_out],
            executor=executor,
            **_weights.by_name(args),
            **_options(args),
        )
    lost = made.left_out.table
    write(f"{made}\n\n" + (f"left out\n{lost}\n" if lost.rows else ""))
    return _models.report_failures(made.failed)


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options that say what is made, by the names of the library."""
    spelt = args.structure or (_CANDIDATES if args.ranks == "plan" else ["global"])
    if len(spelt) > 1 and args.ranks != "plan":
        raise ValueError(f"--structure must be given once without --ranks plan, got {len(spelt)}.")
    return {
        "structure": structures(spelt, args.blocks),
        "rank": args.rank if args.budget is None else None,
        "budget": args.budget,
        "ranks": "uniform" if args.ranks == "uniform" else "adaptive",
        "format": args.format,
        "dtype": args.dtype,
        "base_model": args.base_model,
        "command": _command(args),
    }


def _command(args: argparse.Namespace) -> str:
    options = {
        "structure": args.structure or (None if args.ranks == "plan" else "global"),
        "blocks": args.blocks,
        "rank": args.rank if args.budget is None else None,
        "budget": args.budget,
        "ranks": args.ranks,
        "format": args.format,
        "dtype": args.dtype,
        "base-model": args.base_model,
        "save-rest": args.save_rest,
    }
    return _models.command(args, "extract", options | _weights.command(args))
