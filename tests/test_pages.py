"""Pages show on GitHub as they are meant, lead where they say, and quote what the code gives.

GitHub applies Markdown before math, refuses some macros, and wants inline math on one line.
"""

import re
import sys

import pytest
import refresh_pages
from pages import ROOT, markdown_pages, notebook_pages, script

MARKDOWN = markdown_pages()
PAGES = MARKDOWN + notebook_pages()

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
each_markdown = pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: page.name)

_REFUSED = re.compile(r"\\(operatorname|mbox|[hv]?phantom|def|newcommand|href|class|style|cssId|unicode)\b")


def test_there_is_math_to_check():
    assert sum(len(page.inlines) for page in PAGES) > 500
    assert sum(len(page.displays) for page in PAGES) > 50


@each_page
def test_math_uses_no_macro_that_github_refuses(page):
    assert [tex for tex in page.formulas + page.fenced if _REFUSED.search(tex)] == []


@each_page
def test_markdown_leaves_math_alone(page):
    """No backslash before punctuation, which Markdown drops; no emphasis, link or tag inside math."""
    eaten = re.compile(r"\\[!-/:-@\[-`{-~]|\*|\]\(|<\S|\S<|[^\w\s]_\w")
    assert [tex for tex in page.formulas if eaten.search(tex)] == []


@each_page
def test_inline_math_is_on_one_line(page):
    assert [formula.tex for formula in page.inlines if "\n" in formula.tex] == []


@each_page
def test_inline_math_is_delimited(page):
    """A dollar opens after a space or a bracket and closes before anything but a letter or a digit."""
    loose = [
        f
        for f in page.inlines
        if not re.match(r"[\s(\[|]?$", f.before) or re.match(r"\w", f.after or "") or f.tex != f.tex.strip()
    ]
    assert loose == []


@each_page
def test_dollars_are_paired(page):
    """A row of a table is cut at every bar, even one within math."""
    prose = page.without_code
    cells = [cell for line in prose.splitlines() if line.startswith("|") for cell in line.split("|")]
    assert [cell for cell in cells if cell.count("$") % 2] == []
    assert [p for p in re.split(r"\n[ ]*\n", prose) if p.count("$") % 2] == []


@each_page
def test_display_math_is_a_paragraph_of_its_own(page):
    paragraphs = [p.strip() for p in re.split(r"\n[ ]*\n", page.without_code) if "$$" in p]
    assert [p for p in paragraphs if not re.fullmatch(r"\$\$((?!\$\$).)+\$\$", p, re.DOTALL)] == []


@each_page
def test_links_lead_somewhere(page):
    lost = []
    for link in page.links:
        file, _, anchor = link.partition("#")
        target = (page.path.parent / file).resolve() if file else page.path
        known = {other.path: other.anchors for other in MARKDOWN}
        if not target.exists() or (anchor and anchor not in known.get(target, {anchor})):
            lost.append(link)
    assert lost == []


@each_markdown
def test_cited_tests_exist(page):
    cited = re.findall(r"\[((?:`test_\w+`[,\s]*)+)\]\(([^)]+\.py)\)", page.text)
    assert page.text.count("[`test_") == len(cited)
    for names, file in cited:
        defined = re.findall(r"^def (test_\w+)", (page.path.parent / file).read_text(), re.MULTILINE)
        assert set(re.findall(r"test_\w+", names)) <= set(defined)


def test_all_pages_can_be_reached():
    """Every page is linked from the README or from the index."""
    linked = {
        (page.path.parent / link.partition("#")[0]).resolve()
        for page in MARKDOWN
        for link in page.links
        if page.name in {"README.md", "docs/index.md"}
    }
    assert [
        page.name
        for page in MARKDOWN
        if page.path.is_relative_to(ROOT / "docs")
        and page.path not in linked
        and page.name != "docs/index.md"
    ] == []


@pytest.mark.parametrize("path", refresh_pages.PAGES, ids=lambda path: path.stem)
def test_pages_quote_what_the_code_gives(path):
    page = path.read_text(encoding="utf-8")

    assert page == refresh_pages.refreshed(page)


def test_constants_and_tables_are_found():
    pages = [path.read_text(encoding="utf-8") for path in refresh_pages.PAGES]

    assert refresh_pages.constant("_SAFE_EXPONENT") == "200"
    assert refresh_pages.refreshed("`_SAFE_EXPONENT = 256`") == "`_SAFE_EXPONENT = 200`"
    for name in refresh_pages.TABLES:
        assert sum(f"<!-- table: {name} -->" in page for page in pages) == 1
    with pytest.raises(LookupError, match="NO_SUCH_NAME must be set once"):
        refresh_pages.constant("NO_SUCH_NAME")


def test_diagram_is_what_its_script_draws():
    drawn = (ROOT / "docs/structures.svg").read_text(encoding="utf-8")

    assert drawn == script("docs/structures.py").drawing()


def test_diagram_is_seen_on_light_and_dark_pages():
    """At least 3 to 1, as WCAG asks of graphics, on GitHub's white and on its black."""
    drawn = (ROOT / "docs/structures.svg").read_text(encoding="utf-8")
    for colour in set(re.findall(r"#\w{6}", drawn)):
        assert min(contrast(colour, page) for page in ("#ffffff", "#0d1117")) >= 3, colour


def contrast(one, other):
    """Return the ratio of the relative luminances of two colours, as WCAG defines it."""
    high, low = sorted((luminance(one) + 0.05, luminance(other) + 0.05), reverse=True)
    return high / low


def luminance(colour):
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("name", ["README.md", "docs/theory/definitions.md"])
def test_diagram_is_near_the_top(name):
    text = (ROOT / name).read_text(encoding="utf-8")

    assert "structures.svg)" in text.split("\n## ")[0]


def test_gaussian_table_is_what_its_script_computes():
    """The smaller sizes; .ci/run computes them all."""
    limit, table = script("docs/theory/gaussian_limit.py"), ROOT / "docs/theory/gaussian_limit.csv"
    written = table.read_text(encoding="utf-8").splitlines()

    assert written[0] == ",".join(limit.COLUMNS)
    assert [int(line.split(",")[0]) for line in written[1:]] == list(limit.SIZES)
    for line, size in zip(written[1:3], limit.SIZES, strict=False):
        assert line == ",".join(limit.cells(limit.summary(size)))


def test_notebooks_name_the_extra_that_they_need():
    core = {"numpy", "scipy", "matplotlib", "lowrank_blocks"}
    for page in notebook_pages():
        code = "\n".join(re.findall(r'"((?:from|import) \w+)', page.path.read_text(encoding="utf-8")))
        others = set(re.findall(r"(?:from|import) (\w+)", code)) - core - set(sys.stdlib_module_names)
        assert not others or "[test]" in page.text, (page.name, others)


@pytest.mark.parametrize("page", [p for p in PAGES if "2506.00236" in p.text], ids=lambda page: page.name)
def test_who_speaks_of_the_paper_says_what_was_read(page):
    assert "only the abstract was read" in " ".join(page.text.lower().split())
