"""report.html as a person sees it: in a real browser, which may not leave the file."""

import os
import shutil

import pytest

from analysis.report.write import write_report
from analysis.simulation.sweeps import Noise
from tests.analysis.browser import Page
from tests.analysis.tables import sweep, with_arms


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    table = with_arms(sweep(seeds=5, noise=Noise(windows=8)))
    table.loc[4, "validation_loss"] = float("nan")
    table = table.assign(
        params_total=605_296,
        params_active=52_336,
        flops_per_token=380_000,
        params_table=0,
        routed_experts=62,
        tokens=2_500_000,
        wall_seconds=60.0,
        run_id=[f"{number:032x}" for number in range(len(table))],
        git_commit="abc",
        host="node",
        device="cpu",
        versions=[[("torch", "2.15")]] * len(table),
    )
    _, verdict = write_report(table, folder, "tiny")
    return folder / "report.html", verdict, len(table)


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
    assert verdict.word in text
    assert verdict.sentence in text
    for title in (
        "Per rho",
        "Control arms",
        "Ledger",
        "Spent",
        "Every run",
        "Failures",
        "Where this comes from",
    ):
        assert title in page.value("[...document.querySelectorAll('h2')].map(h => h.innerText)")
    rows = page.value(
        "[...document.querySelectorAll('h2')].find(h => h.innerText == 'Every run')"
        ".nextElementSibling.querySelectorAll('tbody tr').length"
    )
    assert rows == runs


def test_the_pictures_have_a_size_and_the_page_does_not_scroll_sideways(page):
    sizes = page.value(
        "[...document.querySelectorAll('figure svg')].map(s => s.getBoundingClientRect()).map(r "
        "=> [r.width, r.height])"
    )
    assert len(sizes) == 2
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
