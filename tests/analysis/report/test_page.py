"""report.html as a person sees it: in a real browser, which may not leave the file."""

import os
import re
import shutil
import time

import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.report.inside_sections import runs_digest, write_section
from analysis.report.write import write_report
from analysis.simulation.sweeps import Noise
from tests.analysis.browser import Page
from tests.analysis.tables import sweep, trained, with_arms


def table(title: str) -> str:
    """Script that is the first table below a heading."""
    return (
        "(h => [...document.querySelectorAll('table')]"
        ".find(t => h.compareDocumentPosition(t) & Node.DOCUMENT_POSITION_FOLLOWING))"
        f"([...document.querySelectorAll('h2')].find(h => h.innerText == {title!r}))"
    )


RUNS = "window.top.planted = 1; console.log(1); fetch('http://127.0.0.1:9/')"
"""What someone has put into the figure of a section that the page reads from a file."""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    table = with_arms(sweep(seeds=5, noise=Noise(windows=8)))
    table.loc[4, "validation_loss"] = float("nan")
    table = trained(table).assign(
        params_total=605_296,
        params_active=52_336,
        flops_per_token=380_000,
        params_table=0,
        routed_experts=62,
        run_id=[f"{number:032x}" for number in range(len(table))],
        git_commit="abc",
        host="node",
        versions=[[("torch", "2.15")]] * len(table),
    )
    told = (0, "Inside", ["Said."], pd.DataFrame({"a": [1]}), Figure(figsize=(6, 4)))
    write_section(folder, "strata", *told, runs_digest(table))
    svg = folder / "inside" / "strata.svg"
    drawn = svg.read_text().replace("<svg ", f'<svg onload="{RUNS}" ', 1)
    svg.write_text(drawn.replace("</svg>", f"<script>{RUNS}</script></svg>"))
    _, verdict = write_report(table, folder, "tiny")
    return folder / "report.html", verdict, table


@pytest.fixture(scope="module")
def page(report, tmp_path_factory):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop("needs Chromium (Debian: apt-get install chromium)")
    with Page(chromium, tmp_path_factory.mktemp("profile")) as page:
        page.open(report[0])
        yield page


def test_the_verdict_and_every_table_are_drawn(page, report):
    _, verdict, runs = report
    text = page.value("document.body.innerText")
    assert verdict.label in text
    for words in verdict.notes:
        assert words in text
    for title in (
        "Per rho",
        "Per seed",
        "Control arms",
        "Learning curves",
        "Expert load",
        "Gates",
        "Training speed",
        "Ledger",
        "Spent",
        "Every run",
        "Failures",
        "Where this comes from",
    ):
        assert title in page.value("[...document.querySelectorAll('h2')].map(h => h.innerText)")
    assert page.value(f"{table('Every run')}.tBodies[0].rows.length") == len(runs)


def test_the_pictures_have_a_size_and_the_page_does_not_scroll_sideways(page):
    sizes = page.value(
        "[...document.querySelectorAll('figure svg')].map(s => s.getBoundingClientRect()).map(r "
        "=> [r.width, r.height])"
    )
    assert len(sizes) == 6
    assert all(width > 300 and height > 150 for width, height in sizes)
    inked = page.value(
        "[...document.querySelectorAll('figure svg path')].filter(p => p.getBBox().width > "
        "100).length"
    )
    assert inked > 5  # curves and axes, not an empty frame
    assert page.value("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_picture_zooms_and_comes_back(page):
    box = "document.querySelector('figure svg').getAttribute('viewBox')"
    home = page.value(box)
    x, y = page.value(
        "(r => [r.x + r.width / 2, r.y + 20])(document.querySelector('figure "
        "svg').getBoundingClientRect())"
    )
    wheel = {"type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": -300}
    page.call("Input.dispatchMouseEvent", **wheel)
    assert page.value(box) == home  # a plain wheel scrolls the page
    page.value("window.scrollTo(0, 0)")
    page.call("Input.dispatchMouseEvent", **wheel, modifiers=2)
    assert float(page.value(box).split()[2]) < 0.9 * float(home.split()[2])
    page.value("document.querySelector('figure svg').dispatchEvent(new MouseEvent('dblclick'))")
    assert page.value(box) == home


def point(page, number: int) -> tuple[list, dict[str, float]]:
    """A spot of the first figure, and where it is in the window."""
    page.value("document.querySelector('figure').scrollIntoView()")
    spot, x, y = page.value(
        f"""(figure => {{
          const svg = figure.querySelector("svg"), edge = svg.getBoundingClientRect();
          const spot = JSON.parse(figure.querySelector("script").textContent)[{number}];
          const scale = edge.width / svg.viewBox.baseVal.width;
          return [spot, edge.x + spot[0] * scale, edge.y + spot[1] * scale];
        }})(document.querySelector("figure"))"""
    )
    return spot, {"x": x, "y": y}


def test_a_run_says_itself_under_the_pointer_and_leads_to_its_row(page, report):
    _, _, runs = report
    (_, _, words, run_id), at = point(page, 0)
    page.call("Input.dispatchMouseEvent", type="mouseMoved", **at)
    assert page.value("document.querySelector('#said').textContent") == words
    of_run = runs.set_index("run_id").loc[run_id]
    assert f"loss {of_run['validation_loss']:.4f} nats/token" in words
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)
    assert page.value("document.querySelector('tr:target').id") == f"run-{run_id}"
    away = {"x": at["x"], "y": 2}
    page.call("Input.dispatchMouseEvent", type="mouseMoved", **away)
    assert page.value("document.querySelector('#said')") is None


def test_arrow_keys_go_from_point_to_point(page):
    page.value("document.querySelector('figure').focus()")
    said = []
    for _ in range(2):
        page.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
        said.append(page.value("document.querySelector('#said').textContent"))
    assert said[0] != said[1]
    page.value("document.querySelector('figure').blur()")


def test_tables_sort_both_ways_and_what_is_missing_is_last(page, report):
    _, _, runs = report
    shown = f"""(t => {{
      const place = [...t.tHead.rows[0].cells].findIndex(h => h.innerText.startsWith("validation"));
      t.tHead.rows[0].cells[place].firstChild.click();
      return [...t.tBodies[0].rows].map(row => row.cells[place].dataset.v);
    }})({table("Every run")})"""
    known = sorted(runs["validation_loss"].dropna())
    for losses in (known, known[::-1]):
        *found, last = page.value(shown)
        assert last == ""
        assert [float(loss) for loss in found] == pytest.approx(losses)


def saved(page, tmp_path, title: str, kind: str) -> str:
    """What a button above a table writes."""
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.value(
        f"[...{table(title)}.parentElement.previousElementSibling.children]"
        f".find(b => b.textContent == {kind!r}).click()"
    )
    path = tmp_path / f"{title.lower().replace(' ', '-')}.{'csv' if kind == 'CSV' else 'tex'}"
    for _ in range(600):
        if path.exists() and path.stat().st_size:
            return path.read_text()
        time.sleep(0.1)
    raise AssertionError(f"{path.name} was not saved, there is {list(tmp_path.iterdir())}")


def test_tables_are_saved_with_all_digits_and_for_latex(page, report, tmp_path):
    _, _, runs = report
    text = saved(page, tmp_path, "Every run", "CSV")
    (tmp_path / "runs.csv").write_text(text)
    found = pd.read_csv(tmp_path / "runs.csv").set_index("run id").sort_index()
    expected = runs.set_index("run_id").sort_index()
    assert list(found.index) == list(expected.index)
    # Not a digit is lost.
    assert found["validation loss"].to_list() == pytest.approx(
        expected["validation_loss"].to_list(), rel=0, abs=0, nan_ok=True
    )
    latex = saved(page, tmp_path, "Per seed", "LaTeX").splitlines()
    assert latex[:2] == ["\\begin{tabular}{rrrrrr}", "\\toprule"]
    assert latex[2].startswith("rho & seed 0 & seed 1")
    assert latex[-2:] == ["\\bottomrule", "\\end{tabular}"]
    assert len(latex) == 6 + 9


def brightness(page) -> list[int]:
    """Red, green and blue of the page's ground and of a figure's letters, summed."""
    colours = page.value(
        "[getComputedStyle(document.body).backgroundColor, "
        "getComputedStyle(document.querySelector('figure svg text')).fill]"
    )
    return [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours]


def test_the_page_follows_a_dark_screen_and_prints_on_white(page):
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    for media, features, ground, letters in (
        ("", [], 765, range(0, 200)),
        ("", dark, range(0, 200), range(600, 766)),
        ("print", dark, 765, range(0, 200)),
    ):
        page.call("Emulation.setEmulatedMedia", media=media, features=features)
        found = brightness(page)
        assert found[0] in (ground if isinstance(ground, range) else [ground])
        assert found[1] in letters
    assert page.value("getComputedStyle(document.querySelector('.tools')).display") == "none"
    page.call("Emulation.setEmulatedMedia", media="", features=[])


def test_the_figure_of_a_section_is_drawn_follows_a_dark_screen_and_runs_nothing(page):
    width, height, planted = page.value(
        "(i => [i.naturalWidth, i.naturalHeight, String(window.planted)])"
        "(document.querySelector('figure img'))"
    )
    assert width > height > 100
    assert planted == "undefined"
    corner = """
      (async () => {
        const image = new Image(), canvas = document.createElement("canvas").getContext("2d");
        image.src = document.querySelector("figure img").src;
        await image.decode();
        document.body.append(image);
        canvas.drawImage(image, 0, 0);
        image.remove();
        return [...canvas.getImageData(2, 2, 1, 1).data].slice(0, 3).reduce((a, b) => a + b);
      })()"""
    for value, ground in (("dark", range(0, 200)), ("light", [765])):
        features = [{"name": "prefers-color-scheme", "value": value}]
        page.call("Emulation.setEmulatedMedia", media="", features=features)
        assert page.value(corner) in ground
    page.call("Emulation.setEmulatedMedia", media="", features=[])


def test_a_heading_of_the_contents_leads_to_its_section(page):
    assert page.value(
        "[...document.querySelectorAll('details a')].every(a => "
        "document.querySelector(a.getAttribute('href')).innerText == a.textContent)"
    )
    assert page.value("document.querySelectorAll('details a').length") > 10


def test_nothing_is_complained_of_and_nothing_is_fetched(page, report):
    assert page.of("Runtime.exceptionThrown") == []
    assert page.of("Runtime.consoleAPICalled") == []
    assert page.of("Log.entryAdded") == []
    asked = {event["request"]["url"] for event in page.of("Network.requestWillBeSent")}
    assert {url for url in asked if not url.startswith("data:")} == {report[0].as_uri()}


def test_a_complaint_and_a_request_would_be_seen(page):
    """The two checks above can fail: an error and a fetch from the outside are both recorded."""
    before = len(page.events)
    page.value(
        "setTimeout(() => { throw new Error('seen') }); fetch('http://127.0.0.1:9/').catch(() => 1)"
    )
    page.value("new Promise(done => setTimeout(done, 200))")
    seen = [event.get("method") for event in page.events[before:]]
    assert "Runtime.exceptionThrown" in seen
    assert "Log.entryAdded" in seen or "Network.requestWillBeSent" in seen
