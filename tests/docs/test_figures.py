from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import figures


def test_every_figure_is_what_its_source_says() -> None:
    assert list(figures.problems()) == [], "make check-readme ARGS=--write puts them in"


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a README of its own and a source of its own."""
    numbers = {
        "sentence": "It is so.",
        "gain": {"value": 0.02312, "low": 0.02, "high": 0.0294},
        "hours": [10.4, 1234567.0],
    }
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    monkeypatch.setattr(figures, "TEXTS", ("README.md",))
    monkeypatch.setattr(figures, "numbers_of", lambda source: numbers)
    fields = ("hours.0/0", "hours.1/,0")
    monkeypatch.setattr(
        figures, "IN_CODE", (("README.md", r"# (\S+) to (\S+) hours", "plan.x", fields),)
    )
    return tmp_path / "README.md"


STALE = """# Title

It says *<!--tiny/sentence-->It was
so.<!--/-->* The gain is <!--tiny/gain/4-->0.5<!--/-->, beside 1.7248 of the paper, and no more.

| a | <!--tiny/hours.0/1-->0<!--/--> |

    make plan   # 9 to 1,000 hours
"""
FRESH = """# Title

It says *<!--tiny/sentence-->It is so.<!--/-->* The gain is <!--tiny/gain/4-->0.0231 [0.0200,
0.0294]<!--/-->, beside 1.7248 of the paper, and no more.

| a | <!--tiny/hours.0/1-->10.4<!--/--> |

    make plan   # 10 to 1,234,567 hours
"""


def test_stale_figures_are_named_and_written_anew(texts: Path) -> None:
    texts.write_text(STALE)
    found = list(figures.problems())
    assert found[0] == "README.md:3: tiny/sentence: 'It was so.', now 'It is so.'"
    assert len(found) == 5
    assert figures.write() == ["README.md"]
    assert texts.read_text().split() == FRESH.split()
    assert max(map(len, texts.read_text().splitlines())) <= figures.WIDTH
    assert list(figures.problems()) == []
    assert figures.write() == [], "nothing is wrapped anew without need"


def test_a_result_without_a_mark_is_found(texts: Path) -> None:
    texts.write_text(FRESH + "\nThe loss is 1.2345; version 0.29.1 and 2.5e6 are none.\n")
    assert list(figures.problems()) == [
        "README.md: 1.2345 stands in no mark and is not quoted from elsewhere"
    ]


def test_a_field_that_is_not_there_is_an_error(texts: Path) -> None:
    texts.write_text("<!--tiny/nothing-->0<!--/-->")
    with pytest.raises(LookupError):
        list(figures.problems())
