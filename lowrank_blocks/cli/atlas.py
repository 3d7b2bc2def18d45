"""``lowrank-blocks atlas``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from lowrank_blocks._escaping import printable
from lowrank_blocks._version import __version__
from lowrank_blocks.cli._arguments import add_memory, count, positive
from lowrank_blocks.cli._folders import require_folder, save
from lowrank_blocks.cli._parser import EXAMPLES, Commands, formatted
from lowrank_blocks.cli._pictures import drawn
from lowrank_blocks.cli._streams import say, write
from lowrank_blocks.datasets.example import load_example
from lowrank_blocks.files import StoredMatrix, find_matrices
from lowrank_blocks.plotting.atlas import plot_atlas
from lowrank_blocks.reports.atlas import atlas
from lowrank_blocks.reports.atlas_page import atlas_page
from lowrank_blocks.reports.comparison import Comparison
from lowrank_blocks.reports.model_atlas import ModelAtlas, atlas_checkpoints
from lowrank_blocks.solver.calls import error_curve
from lowrank_blocks.structures.grids import Global

_FORMS = ("text", "markdown", "csv", "json")
_TEXTS = ("atlas.md", "atlas.csv", "atlas.json")
_PAGE, _PICTURE = "atlas.html", "atlas.png"
_FILES = (_PAGE, *_TEXTS)

_Files = Callable[[], dict[str, str | bytes]]


def add_to(commands: Commands) -> None:
    """Add the subcommand to the parser."""
    sub = commands.add_parser(
        "atlas",
        help="the nearest adapter of every family of PEFT at one budget",
        description="Find the nearest adapter of every family of PEFT to a weight update, each at its\n"
        "largest setting within one budget; or, with --base and --tuned, to all updates between two\n"
        "checkpoints.",
        epilog=EXAMPLES,
        formatter_class=formatted,
    )
    sub.set_defaults(run=run)
    add = sub.add_argument
    add(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help=".npy or .npz with one update; else the embedded one",
    )
    add("--weight", type=Path, metavar="FILE", help=".npy or .npz with the weight before the update")
    add("--base", type=Path, metavar="B", help="checkpoint before fine-tuning")
    add("--tuned", type=Path, metavar="T", help="checkpoint after fine-tuning")
    add("--include", metavar="RE", help="only matrices in whose name this regular expression is found")
    add("--exclude", metavar="RE", help="no matrices in whose name this regular expression is found")
    add("--rank", type=positive, default=8, metavar="R", help="budget as the rank of a LoRA (default 8)")
    add("--budget", type=count, metavar="N", help="budget as a count of numbers; it goes before --rank")
    add("--out", type=Path, metavar="DIR", help="write atlas.html, .md, .csv and .json there, and a picture")
    add("--format", choices=_FORMS, default="text", help="what is printed (default text)")
    add_memory(sub)


def run(args: argparse.Namespace) -> int:
    """Fit all families, write files if asked for, and print the table."""
    whole = args.base is not None or args.tuned is not None
    _require_together(args, whole)
    if args.out is not None:
        require_folder(args.out, _FILES if whole else (*_FILES, _PICTURE))
    found, files = _of_checkpoints(args) if whole else _of_matrix(args)
    if args.out is not None:
        texts = (found.to_markdown(), found.to_csv(), found.to_json())
        save(args.out, dict(zip(_TEXTS, texts, strict=True)) | files())
    write(getattr(found, f"to_{args.format}")())
    return 0


def _of_checkpoints(args: argparse.Namespace) -> tuple[ModelAtlas, _Files]:
    """Return the atlas of a model, and what makes its page."""
    found = atlas_checkpoints(
        args.base, args.tuned, rank=args.rank, include=args.include, exclude=args.exclude
    )
    facts = _facts(base=args.base, tuned=args.tuned)
    return found, lambda: {_PAGE: atlas_page(found, details=facts)}


def _of_matrix(args: argparse.Namespace) -> tuple[Comparison, _Files]:
    """Return the atlas of one update, and what makes its page and its picture."""
    dW = next(iter(load_example().values())) if args.file is None else _one(args.file, args.memory).read()
    weight = None if args.weight is None else _one(args.weight, args.memory).read()
    rank = args.rank if args.budget is None else None
    found = atlas(dW, weight, budget=args.budget, rank=rank)

    def files() -> dict[str, str | bytes]:
        curves = [error_curve(dW, Global())]
        height = max(4.0, 1.2 + 0.17 * len(found.rows))
        picture = drawn(8.2, height, lambda ax: plot_atlas(found, curves=curves, ax=ax))
        facts = _facts(update=args.file or "embedded", weight=args.weight)
        return {_PAGE: atlas_page(found, curves=curves, details=facts), _PICTURE: picture}

    return found, files


def _facts(**paths: Path | str | None) -> dict[str, str]:
    """Return what the page says of where it comes from."""
    given = {name: printable(str(path)) for name, path in paths.items() if path is not None}
    return {**given, "version": f"lowrank-blocks {__version__}"}


def _require_together(args: argparse.Namespace, whole: bool) -> None:
    """Refuse options that do nothing here."""
    if whole and (args.base is None or args.tuned is None):
        raise ValueError("--base and --tuned must both be given.")
    refused = ("file", "weight", "budget") if whole else ("include", "exclude")
    for option in refused:
        if getattr(args, option) is not None:
            name = "FILE" if option == "file" else f"--{option}"
            rule = "must not be given with" if whole else "must come with"
            raise ValueError(f"{name} {rule} --base and --tuned.")


def _one(path: Path, limit: int) -> StoredMatrix:
    """Return the one matrix of a file."""
    found, passed_over = find_matrices(path, limit)
    for other in passed_over:
        say(f"passed over {other}")
    if len(found) != 1:
        names = ", ".join(matrix.name for matrix in found)
        raise ValueError(f"{path} must hold one matrix, got {len(found)}: {names}.")
    return found[0]
