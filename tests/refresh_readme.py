"""Fill in what the README quotes: the output of its Python blocks, and the summary of the main command.

``python tests/refresh_readme.py`` rewrites the README; a test checks that there is nothing to rewrite.
"""

import contextlib
import io
import re
from pathlib import Path

import lowrank_blocks as lb

README = Path(__file__).parents[1] / "README.md"

_RUN = re.compile(r"(<!-- run -->\n```python\n(.*?)```\n\n<!-- output -->\n```text\n).*?(```\n)", re.DOTALL)
_SUMMARY = re.compile(r"(<!-- summary -->\n).*?(\n<!-- finding -->\n).*?\n\n", re.DOTALL)


def refreshed(readme: str) -> str:
    """Return the README with every quoted result computed anew."""
    names: dict[str, object] = {}
    readme = _RUN.sub(lambda m: m[1] + _output(m[2], names) + m[3], readme)
    report = _main_report()
    return _SUMMARY.sub(lambda m: m[1] + _summary(report) + m[2] + _finding(report) + "\n\n", readme)


def _output(code: str, names: dict[str, object]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, names)
    return out.getvalue()


def _main_report() -> lb.Report:
    structures = [lb.Global(), lb.DiagonalLocal(4), lb.Localized(4)]
    return lb.Report(
        {
            name: lb.compare(dW, structures, lb.rank_budget(dW.shape, rank=8))
            for name, dW in lb.load_example().items()
        }
    )


def _summary(report: lb.Report) -> str:
    return report.summary.to_markdown().split("\n\n", 1)[1]


def _finding(report: lb.Report) -> str:
    rows = report.summary.to_records()
    best = min(rows, key=lambda row: row["relative_error"])
    count = len(report.comparisons)
    return (
        f"Here `{best['label']}` has the least error overall, and on {best['times_best']} of the {count} "
        f"matrices; the best of the others leaves "
        f"{min(_ratio(row, best) for row in rows if row is not best):.2f} times its error."
    )


def _ratio(row: dict, best: dict) -> float:
    return row["relative_error"] / best["relative_error"]


if __name__ == "__main__":
    README.write_text(refreshed(README.read_text(encoding="utf-8")), encoding="utf-8")
