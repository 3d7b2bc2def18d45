"""The pages of the project as GitHub reads them: prose, math, links and headings."""

import importlib.util
import json
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]

_FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
_MATH = re.compile(r"^ *```math\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
_DISPLAY = re.compile(r"\$\$.*?\$\$", re.DOTALL)
_INLINE = re.compile(r"(?s)(^|.)\$(.+?)\$(?=(.|$))")
_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href|srcset)=\"([^\"]+)\"")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Formula:
    """An inline formula with the characters before and after it."""

    before: str
    tex: str
    after: str


@dataclass(frozen=True)
class Page:
    """A Markdown text and where it lies."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def without_code(self) -> str:
        """The text with code blanked out; lines stay where they are."""
        blank = lambda found: re.sub(r"[^\n]", " ", found[0])  # noqa: E731
        return _SPAN.sub(blank, _FENCE.sub(blank, self.text))

    @property
    def displays(self) -> list[str]:
        """Formulas between two dollars, delimiters included."""
        return _DISPLAY.findall(self.without_code)

    @property
    def inlines(self) -> list[Formula]:
        """Formulas between single dollars: paired within paragraphs, as GitHub pairs them."""
        paragraphs = re.split(r"\n[ ]*\n", _DISPLAY.sub(" ", self.without_code))
        return [Formula(*found.groups()) for p in paragraphs for found in _INLINE.finditer(p)]

    @property
    def formulas(self) -> list[str]:
        """Formulas that Markdown sees before MathJax does."""
        return self.displays + [formula.tex for formula in self.inlines]

    @property
    def fenced(self) -> list[str]:
        """Formulas in fences, which Markdown leaves alone."""
        return _MATH.findall(self.text)

    @property
    def links(self) -> list[str]:
        """Targets inside the project."""
        found = ["".join(pair) for pair in _LINK.findall(_FENCE.sub("", self.text))]
        return [target for target in found if not re.match(r"[a-z]+:", target)]

    @property
    def anchors(self) -> set[str]:
        """What GitHub calls the headings: lower case, no punctuation, hyphens for spaces."""
        headings = _HEADING.findall(_FENCE.sub("", self.text))
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def markdown_pages() -> list[Page]:
    """Return the README, the changelog and all pages under docs."""
    paths = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [Page(path, path.read_text(encoding="utf-8")) for path in paths]


def notebook_pages() -> list[Page]:
    """Return the text cells of every notebook."""
    paths = sorted((ROOT / "notebooks").glob("*.ipynb"))
    cells = {path: json.loads(path.read_text(encoding="utf-8"))["cells"] for path in paths}
    return [
        Page(path, "\n\n".join("".join(c["source"]) for c in found if c["cell_type"] == "markdown"))
        for path, found in cells.items()
    ]


def script(name):
    """Return a script as a module, by its path from the root; it may import what lies beside it."""
    path = ROOT / name
    spec = importlib.util.spec_from_file_location("script", path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module
