"""``lowrank-blocks compare``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from tqdm import tqdm

from lowrank_blocks._validation import Matrix
from lowrank_blocks.allocation.budgets import rank_budget
from lowrank_blocks.cli import _comparing, _models, _weights
from lowrank_blocks.cli._arguments import add_memory, count, positive
from lowrank_blocks.cli._folders import require_folder, save
from lowrank_blocks.cli._hints import update_hint
from lowrank_blocks.cli._parser import EXAMPLES, Commands, formatted
from lowrank_blocks.cli._pictures import bars, links, picture_names
from lowrank_blocks.cli._streams import say, write
from lowrank_blocks.cli._structures import DEFAULT, add_structures, structures
from lowrank_blocks.datasets.example import load_example
from lowrank_blocks.files import StoredMatrix, find_matrices
from lowrank_blocks.reports.compare import compare
from lowrank_blocks.reports.comparison import Comparison
from lowrank_blocks.reports.report import Report

_WRITERS: dict[str, Callable[[Report], str]] = {
    "text": Report.to_text,
    "markdown": Report.to_markdown,
    "csv": Report.to_csv,
    "json": Report.to_json,
}
_REPORTS = ("report.md", "report.csv", "report.json")
_Sources: TypeAlias = dict[str, Callable[[], Matrix]]


def add_to(commands: Commands) -> None:
    """Add the subcommand to the parser."""
    sub = commands.add_parser(
        "compare",
        help="compare global, diagonal-local and localized approximation at one budget",
        description="Compare the optimal global, diagonal-local and fully localized low-rank\n"
        "approximations of one or more matrices at equal parameter counts; or, with --base and --tuned, of\n"
        "the difference of two checkpoints, with ranks chosen across the model, and the plan.",
        epilog=EXAMPLES,
        formatter_class=formatted,
    )
    sub.set_defaults(run=run)
    _add_input(sub)
    _models.add_checkpoints(sub)
    _add_output(sub)


def _add_input(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help=".npy or .npz; the embedded genuine update if none",
    )
    add(
        "--rank",
        type=count,
        default=8,
        metavar="R",
        help="budget as a global rank: R·(m+n) numbers for each m×n matrix (default 8)",
    )
    add("--budget", type=count, metavar="N", help="budget as a count of numbers; it goes before --rank")
    add("--blocks", type=positive, default=4, metavar="K", help="parts of each axis (default 4)")
    add_structures(sub, "one to compare, may be given again (default global, diagonal and localized)")
    add("--best", action="store_true", help="add the best partition, with a bound on what it misses")
    _weights.add_weights(sub)
    add_memory(sub)


def _add_output(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add(
        "--out",
        type=Path,
        metavar="DIR",
        help="write report.md, report.csv and report.json there; of checkpoints report.html, too",
    )
    add("--plot", action="store_true", help="with --out: also write a picture of each comparison")
    add("--format", choices=sorted(_WRITERS), default="text", help="what is printed (default text)")


def run(args: argparse.Namespace) -> int:
    """Compare the matrices, write files if asked for, and print the report."""
    if args.base is not None or args.tuned is not None:
        return _comparing.run(args)
    _models.refuse(args, "got neither")
    if args.plot and args.out is None:
        raise ValueError("--plot must come with --out DIR, got no --out.")
    stored = _found(args.files, args.memory)
    sources = _sources(stored) if args.files else _examples()
    pictures = picture_names([m.stem for m in stored] or sources) if args.plot else []
    if args.out is not None:
        require_folder(args.out, [*_REPORTS, *pictures])
    for read in sources.values():  # checks the values of all before the work on the first
        read()
    weights = _weights.of_matrix(args, sources)
    compared = tqdm(sources.items(), desc="matrices", disable=None, leave=False)
    report = Report({name: _compare_one(read(), name, args, weights) for name, read in compared})
    if args.out is not None:
        save(args.out, _report_files(report, pictures))
    write(_WRITERS[args.format](report))
    if args.format == "csv":  # the other formats hold the notes
        for name, comparison in report.comparisons.items():
            if comparison.note:
                say(f"{name}: {comparison.note}")
    if hint := update_hint(stored, list(report.comparisons.values())):
        say(hint)
    return 0


def _compare_one(dW: Matrix, name: str, args: argparse.Namespace, weights: Mapping[str, Any]) -> Comparison:
    try:
        budget = rank_budget(dW.shape, args.rank) if args.budget is None else args.budget
        chosen = structures(args.structure or DEFAULT, args.blocks)
        return compare(dW, chosen, budget, best=args.best, **weights)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _found(paths: Sequence[Path], limit: int) -> list[StoredMatrix]:
    stored: list[StoredMatrix] = []
    for path in dict.fromkeys(paths):
        found, passed_over = find_matrices(path, limit)
        stored += found
        for other in passed_over:
            say(f"passed over {other}")
    return stored


def _sources(stored: Sequence[StoredMatrix]) -> _Sources:
    sources: _Sources = {}
    for matrix in stored:
        if matrix.name in sources:
            raise ValueError(f"{matrix.name} must name one matrix, got two that are shown by this name.")
        sources[matrix.name] = matrix.read
    return sources


def _examples() -> _Sources:
    return {name: dW.view for name, dW in load_example().items()}


def _report_files(report: Report, pictures: Sequence[str]) -> dict[str, str | bytes]:
    texts = (report.to_markdown() + links(report.comparisons, pictures), report.to_csv(), report.to_json())
    drawn = {
        picture: bars(name, comparison)
        for picture, (name, comparison) in zip(pictures, report.comparisons.items(), strict=False)
    }
    return dict(zip(_REPORTS, texts, strict=True)) | drawn
