"""The command ``lowrank-blocks``."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, TypeAlias

from tqdm import tqdm

from lowrank_blocks import __version__
from lowrank_blocks._validation import Matrix
from lowrank_blocks.budgets import rank_budget
from lowrank_blocks.comparison import Comparison, compare
from lowrank_blocks.examples import load_example
from lowrank_blocks.files import read_matrices, write_files
from lowrank_blocks.plotting.budgets import plot_comparison
from lowrank_blocks.plotting.png import new_figure, png
from lowrank_blocks.reports import Report
from lowrank_blocks.reproduce import reproduced
from lowrank_blocks.structures import DiagonalLocal, Global, Localized

_WRITERS: dict[str, Callable[[Report], str]] = {
    "text": Report.to_text,
    "markdown": Report.to_markdown,
    "csv": Report.to_csv,
    "json": Report.to_json,
}

_EXAMPLES = """\
examples:
  lowrank-blocks compare                              the embedded genuine update, rank 8, 4 blocks an axis
  lowrank-blocks compare --rank 16 --blocks 8 dW.npy  a matrix of your own
  lowrank-blocks compare layers.npz --out report      all matrices of an archive, with report files
  lowrank-blocks compare dW.npy --budget 5000 --format csv
  lowrank-blocks reproduce --out formal               the formal comparison, with tables and pictures
"""


_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"


class _Parser(argparse.ArgumentParser):
    """A parser whose errors take one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 fine, 2 bad usage or input.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without × or ΔW still gets its table
    args = _parser().parse_args(argv)
    try:
        args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, TypeError, ValueError) as error:
        print(f"lowrank-blocks: {_one_line(error)}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="lowrank-blocks",
        description="The best that N stored numbers can do for a weight update.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"lowrank-blocks {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_compare(commands)
    _add_reproduce(commands)
    return parser


def _add_compare(commands: _Commands) -> None:
    sub = commands.add_parser(
        "compare",
        help="compare global, diagonal-local and localized approximation at one budget",
        description="Compare the optimal global, diagonal-local and fully localized low-rank\n"
        "approximations of one or more matrices at equal parameter counts.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.set_defaults(run=_compare)
    sub.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help=".npy or .npz; the embedded genuine update if none",
    )
    sub.add_argument(
        "--rank",
        type=_count,
        default=8,
        metavar="R",
        help="budget as a global rank: R·(m+n) numbers for each m×n matrix (default 8)",
    )
    sub.add_argument(
        "--budget", type=_count, metavar="N", help="budget as a count of numbers; it goes before --rank"
    )
    sub.add_argument(
        "--blocks", type=_positive, default=4, metavar="K", help="parts of each axis (default 4)"
    )
    sub.add_argument(
        "--best", action="store_true", help="add the best partition, with a bound on what it misses"
    )
    sub.add_argument(
        "--out", type=Path, metavar="DIR", help="write report.md, report.csv and report.json there"
    )
    sub.add_argument(
        "--plot", action="store_true", help="with --out: also write a picture of each comparison"
    )
    sub.add_argument(
        "--format", choices=sorted(_WRITERS), default="text", help="what is printed (default text)"
    )


def _add_reproduce(commands: _Commands) -> None:
    sub = commands.add_parser(
        "reproduce",
        help="the formal comparison on synthetic and genuine matrices",
        description="Compare global, diagonal-local and localized approximation at exactly equal parameter\n"
        "counts on every synthetic family and on the embedded update; write a report, tables and pictures.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.set_defaults(run=_reproduce)
    sub.add_argument(
        "--out", type=Path, metavar="DIR", required=True, help="where report.md and its files go"
    )


def _compare(args: argparse.Namespace) -> None:
    if args.plot and args.out is None:
        raise ValueError("--plot must come with --out DIR, got no --out.")
    if args.out is not None:
        _require_folder(args.out)
    matrices = _read(args.files) if args.files else load_example()
    compared = tqdm(matrices.items(), desc="matrices", disable=None, leave=False)
    report = Report({name: _compare_one(dW, name, args) for name, dW in compared})
    if args.out is not None:
        _save(args.out, _report_files(report, plot=args.plot))
    sys.stdout.write(_WRITERS[args.format](report))
    if args.format == "csv":  # the other formats hold the notes
        _print_notes(report)


def _print_notes(report: Report) -> None:
    for name, comparison in report.comparisons.items():
        if comparison.note:
            print(f"lowrank-blocks: {name}: {comparison.note}", file=sys.stderr)


def _reproduce(args: argparse.Namespace) -> None:
    _require_folder(args.out)
    files = reproduced()
    _save(args.out, files)
    print(f"wrote {', '.join(files)} to {args.out}")


def _compare_one(dW: Matrix, name: str, args: argparse.Namespace) -> Comparison:
    try:
        budget = rank_budget(dW.shape, args.rank) if args.budget is None else args.budget
        return compare(
            dW, [Global(), DiagonalLocal(args.blocks), Localized(args.blocks)], budget, best=args.best
        )
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _read(paths: Sequence[Path]) -> dict[str, Matrix]:
    matrices: dict[str, Matrix] = {}
    for path in dict.fromkeys(paths):
        found, passed_over = read_matrices(path)
        matrices |= found
        for name in passed_over:
            print(f"lowrank-blocks: passed over {name}, which is not 2-D", file=sys.stderr)
    return matrices


def _report_files(report: Report, *, plot: bool) -> dict[str, str | bytes]:
    pictures = (
        {f"comparison-{k}.png": c for k, c in enumerate(report.comparisons.values(), 1)} if plot else {}
    )
    links = "".join(
        f"\n![{name}]({picture})\n" for name, picture in zip(report.comparisons, pictures, strict=False)
    )
    return {
        "report.md": report.to_markdown() + links,
        "report.csv": report.to_csv(),
        "report.json": report.to_json(),
        **{picture: _bars(comparison) for picture, comparison in pictures.items()},
    }


def _bars(comparison: Comparison) -> bytes:
    figure = new_figure(7, 1.2 + 0.42 * len(comparison.rows))
    plot_comparison(comparison, ax=figure.subplots())
    return png(figure)


def _require_folder(folder: Path) -> None:
    """Judge --out before the work, not after it."""
    found = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not found.is_dir():
        raise ValueError(f"--out must be a folder that can be written, got {folder}: {found} is a file.")


def _save(folder: Path, files: Mapping[str, str | bytes]) -> None:
    try:
        write_files(folder, files)
    except OSError as error:
        raise ValueError(f"--out must be a folder that can be written, got {folder}: {error}") from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a non-negative integer, got {text!r}")
    return int(text)


def _positive(text: str) -> int:
    if _count(text) == 0:
        raise argparse.ArgumentTypeError("must be a positive integer, got 0")
    return int(text)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
