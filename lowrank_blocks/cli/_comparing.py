"""``lowrank-blocks compare --base B --tuned T``: whole checkpoints."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from lowrank_blocks._version import __version__
from lowrank_blocks.cli import _models, _weights
from lowrank_blocks.cli._folders import require_folder, save
from lowrank_blocks.cli._streams import write
from lowrank_blocks.cli._structures import DEFAULT, structures
from lowrank_blocks.models.comparing import compared
from lowrank_blocks.models.comparison import ModelComparison
from lowrank_blocks.models.journal import Journal
from lowrank_blocks.models.plans import model_spectra
from lowrank_blocks.models.weighing import model_weights
from lowrank_blocks.reports.page import to_page

FILES = ("report.html", "report.md", "report.csv", "report.json")
_WRITERS: dict[str, Callable[[ModelComparison], str]] = {
    "text": ModelComparison.to_text,
    "markdown": ModelComparison.to_markdown,
    "csv": ModelComparison.to_csv,
    "json": ModelComparison.to_json,
}


def run(args: argparse.Namespace) -> int:
    """Compare two checkpoints, write files if asked for, and print the report."""
    for option in ("files", "best", "plot"):
        if getattr(args, option):
            name = "FILE" if option == "files" else f"--{option}"
            raise ValueError(f"{name} must not be given with --base and --tuned.")
    updates = _models.opened(args)
    if args.dry_run:
        write(_models.dry_run(updates, args.rank, args.budget))
        return 0
    given = _weights.by_name(args)
    weights = model_weights(given.get("row_weights"), given.get("col_weights"), updates)
    if args.out is not None:
        require_folder(args.out, FILES)
    journal = None if args.out is None else Journal(args.out)
    rank = args.rank if args.budget is None else None
    chosen = tuple(structures(args.structure or DEFAULT, args.blocks))
    with _models.executor(args) as executor:
        spectra = model_spectra(
            updates,
            chosen,
            budget=args.budget,
            rank=rank,
            executor=executor,
            journal=journal,
            weights=weights,
        )
        found = compared(spectra, args.budget, rank)
    if args.out is not None:
        save(args.out, _files(args, found))
    if journal is not None:
        journal.close()
    write(_WRITERS[args.format](found))
    return _models.report_failures(found.failed)


def _files(args: argparse.Namespace, found: ModelComparison) -> dict[str, str | bytes]:
    options = {"rank": args.rank} if args.budget is None else {"budget": args.budget}
    named = {"structure": args.structure, **options, "blocks": args.blocks}
    details = {
        "command": _models.command(args, "compare", named | _weights.command(args)),
        "version": f"lowrank-blocks {__version__}",
    }
    texts = (to_page(found, details=details), found.to_markdown(), found.to_csv(), found.to_json())
    return dict(zip(FILES, texts, strict=True))
