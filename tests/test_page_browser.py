"""The page in a real browser: sorting, filtering, ways, colour schemes, narrow screens, and no errors."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from models_of import HOSTILE, compared, layers

import lowrank_blocks as lb
from lowrank_blocks._escaping import printable
from lowrank_blocks.models.comparison import ModelComparison
from lowrank_blocks.reports.atlas_page import atlas_page
from lowrank_blocks.reports.page import to_page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")

if not BROWSER or not DRIVER:
    pytest.skip("needs Chromium and chromedriver, such as Debian's chromium-driver", allow_module_level=True)
webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")

pytestmark = pytest.mark.exhaustive

_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
NAMES = tuple(layers(6))
MODEL = compared(*NAMES)
MOST_HOSTILE = compared(*HOSTILE)
ATLAS = lb.atlas(np.random.default_rng(0).standard_normal((8, 12)), np.ones((8, 12)), rank=2)
ATLASES = lb.atlas_checkpoints(*({name: k * np.eye(8) for name in HOSTILE} for k in (1, 3)), rank=1)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*_FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser, tmp_path):
    """Return a function that opens the page of a comparison; afterwards the console must be empty."""

    def opened(comparison, width=1280, scheme="light", **settings):
        path = Path(tmp_path) / "page.html"
        page = to_page if isinstance(comparison, ModelComparison) else atlas_page
        path.write_text(page(comparison, **settings), encoding="utf-8")
        screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        browser.get(path.as_uri())
        return browser

    yield opened
    assert browser.get_log("browser") == []


def column(page, k):
    """Return the cells of a column in the rows that are seen."""
    script = (
        "return [...document.querySelectorAll('#matrices tbody tr')].filter(r => r.offsetParent !== null)"
        ".map(r => r.cells[arguments[0]].textContent)"
    )
    return page.execute_script(script, k)


def choose(page, label):
    (option,) = [o for o in page.find_elements("css selector", "#way option") if o.text == label]
    option.click()


def head(page, name):
    (button,) = [
        b for b in page.find_elements("css selector", "#matrices th button") if b.text.startswith(name)
    ]
    return button


def sorted_heads(page):
    heads = page.find_elements("css selector", "#matrices th")
    return [
        (h.text.split()[0], h.get_attribute("aria-sort"))
        for h in heads
        if h.get_attribute("aria-sort") != "none"
    ]


def test_the_best_way_is_shown_first_and_others_by_choice(opened):
    page = opened(MODEL)
    assert column(page, 0) == list(NAMES)
    assert page.find_element("id", "shown").text == f"12 of {12 * len(MODEL.plans)} rows"

    choose(page, "Localized(2), same rank")
    assert set(column(page, 4)) == {"Localized(2)"}
    assert set(column(page, 3)) == {"same rank"}

    choose(page, "all")
    assert len(column(page, 0)) == 12 * len(MODEL.plans)


def test_columns_sort_by_click_and_by_key(opened):
    page = opened(MODEL)
    errors = MODEL.plans[MODEL.best].relative_errors
    by_error = sorted(errors, key=errors.get)

    head(page, "relative error").click()
    assert column(page, 0) == by_error
    assert sorted_heads(page) == [("relative", "ascending")]
    head(page, "relative error").send_keys("\ue007")  # enter
    assert column(page, 0) == sorted(errors, key=errors.get, reverse=True)
    assert sorted_heads(page) == [("relative", "descending")]
    head(page, "norm").click()
    assert column(page, 0) == sorted(NAMES, key=MODEL.norms.get)
    assert sorted_heads(page) == [("norm", "ascending")]
    head(page, "name").click()
    assert column(page, 0) == sorted(NAMES)


def test_layers_sort_as_numbers(opened):
    names = [f"h.{k}.q" for k in (10, 9, 100, 2)]
    page = opened(compared(*names))

    head(page, "name").click()
    assert column(page, 0) == ["h.2.q", "h.9.q", "h.10.q", "h.100.q"]


def test_filter(opened):
    page = opened(MODEL)
    field = page.find_element("id", "filter")

    field.send_keys("LAYERS.3.")
    assert column(page, 0) == [name for name in NAMES if ".3." in name]
    assert page.find_element("id", "shown").text.startswith("2 of ")
    choose(page, "all")
    assert len(column(page, 0)) == 2 * len(MODEL.plans)
    field.send_keys("no such name")
    assert column(page, 0) == []
    field.clear()
    field.send_keys("diagonallocal(2)")
    assert set(column(page, 4)) == {"DiagonalLocal(2)"}


def test_hostile_names_are_text(opened):
    page = opened(MOST_HOSTILE, title=HOSTILE[0], details={HOSTILE[1]: HOSTILE[6]})

    assert page.title == HOSTILE[0]
    assert column(page, 0) == [printable(name) for name in HOSTILE]
    assert page.execute_script("return document.scripts.length") == 1
    assert page.find_elements("css selector", "img, iframe, link, object") == []
    page.find_element("id", "filter").send_keys("<script>")
    assert column(page, 0) == [HOSTILE[0]]


def test_atlas_sorts_and_filters(opened):
    page = opened(ATLAS, scheme="dark")
    rows = ATLAS.rows

    assert column(page, 0) == [row.label for row in rows]
    head(page, "numbers").click()
    assert column(page, 0) == [row.label for row in sorted(rows, key=lambda row: row.n_parameters)]
    head(page, "gap").click()
    gaps = sorted(rows, key=lambda row: float("inf") if row.gap is None else row.gap)
    assert column(page, 4)[-1] == ""
    assert sorted(column(page, 0)) == sorted(row.label for row in gaps)
    choose(page, "upper bound")
    assert set(column(page, 5)) == {"upper bound"}
    page.find_element("id", "filter").send_keys("dora")
    assert [label.split("(")[0] for label in column(page, 0)] == ["DoRA"]
    dark = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert max(int(x) for x in dark.removeprefix("rgb(").removesuffix(")").split(",")) < 64


def test_atlas_of_a_model_shows_one_matrix_by_choice(opened):
    page = opened(ATLASES)

    assert len(column(page, 0)) == sum(len(c.rows) for c in ATLASES.comparisons.values())
    choose(page, HOSTILE[0])
    assert set(column(page, 0)) == {HOSTILE[0]}


def test_no_script_but_its_own_may_run(browser, opened):
    page = opened(MODEL)
    page.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.forged = 1';"
        "document.body.append(s)"
    )

    assert page.execute_script("return window.forged") is None
    assert "Content Security Policy" in browser.get_log("browser")[0]["message"]


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize(
    "comparison",
    [compared("q"), MODEL, MOST_HOSTILE, ATLAS, ATLASES],
    ids=["one", "layers", "hostile", "atlas", "atlas of a model"],
)
def test_the_page_does_not_scroll_sideways(opened, comparison, width):
    page = opened(comparison, width, title="a" * 200, details={"b" * 200: "c" * 200})

    wide = "return [document.documentElement.scrollWidth, document.body.scrollWidth, window.innerWidth]"
    assert max(page.execute_script(wide)) == width


CONTRASTS = """
const shade = text => {
  const [r, g, b] = text.match(/[\\d.]+/g).map(v => v / 255).map(
    v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const paper = e => { for (; e; e = e.parentElement) {
  const c = getComputedStyle(e).backgroundColor; if (!/^rgba.*, 0\\)$/.test(c)) return c; } };
return [...document.querySelectorAll("body *")].filter(
  e => e.offsetParent && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => {
  const [a, b] = [shade(getComputedStyle(e).color), shade(paper(e))].sort((x, y) => y - x);
  return [(a + 0.05) / (b + 0.05), e.tagName, e.textContent.slice(0, 40)]; });
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_colour_schemes(opened, scheme):
    """A contrast of at least 4.5 for all text, as WCAG 2.1 asks at level AA."""
    page = opened(MODEL, scheme=scheme)
    paper = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 19, 25)"}[scheme]

    contrasts = page.execute_script(CONTRASTS)
    assert len(contrasts) > 200
    assert [found for found in contrasts if found[0] < 4.5] == []


def test_everything_can_be_reached_and_has_a_name(opened):
    page = opened(MODEL)
    for element in page.find_elements("css selector", "select, input, button, [role=region], svg[role=img]"):
        assert element.accessible_name
    scrolling = (
        "return [...document.querySelectorAll('*')].filter(e => e.scrollWidth > e.clientWidth + 1"
        " && getComputedStyle(e).overflowX === 'auto' && e.tabIndex !== 0).length"
    )
    assert page.execute_script(scrolling) == 0
