"""What report.html contains: one list of sections for each curve, and one for all runs.

A section with a new figure is a function in `analysis.figures` and an entry in one of these lists.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Generic, TypeVar

import pandas as pd

from analysis.report.budget_tables import bill
from analysis.report.curve_tables import arms, drift, literature, readings
from analysis.report.numbers import per_rho
from analysis.report.page import document, figure, section, table
from analysis.report.run_tables import (
    Runs,
    again,
    all_runs,
    built,
    every_run,
    failures,
    once,
    origin,
    rows_left_out,
)
from analysis.report.verdict_sentences import StatedVerdict
from analysis.sweep.sweep_analysis import SweepAnalysis

T = TypeVar("T")


@dataclass(frozen=True)
class Section(Generic[T]):
    """One section of the page."""

    title: str
    body: Callable[[T, str], str | None]
    """Return its HTML from what it shows and the sweep's name; None leaves the section out."""
    note: str | Callable[[T, str], str] = ""
    """Words under the title, or what returns them from the same arguments."""

    def html(self, shown: T, name: str) -> list[str]:
        """Return the section as HTML, or nothing."""
        body = self.body(shown, name)
        if body is None:
            return []
        note = self.note if isinstance(self.note, str) else self.note(shown, name)
        return [section(self.title, body, note)]


def sweep_page(result: SweepAnalysis, verdict: StatedVerdict, name: str, svg: str) -> str:
    """Return the page of one sweep as text.

    Args:
        result: the analysed sweep.
        verdict: its word and sentence.
        name: what the sweep is called.
        svg: the picture, a whole SVG file.
    """
    literature = [html for one in LITERATURE_SECTIONS for html in one.html(result, name)]
    curve = curve_html(result, verdict, name, svg)
    return document(name, [*curve, *literature, *runs_html([result], name)])


def curve_html(result: SweepAnalysis, verdict: StatedVerdict, name: str, svg: str) -> list[str]:
    """Return what one curve shows: verdict, picture, then `CURVE_SECTIONS`."""
    words = escape(verdict.sentence)
    return [
        f'<p class="verdict"><span class="word">{verdict.word}</span><br>{words}</p>',
        figure(svg, verdict.sentence) + _HINT,
        *(html for one in CURVE_SECTIONS for html in one.html(result, name)),
    ]


def runs_html(results: Sequence[SweepAnalysis], name: str) -> list[str]:
    """Return `RUN_SECTIONS` of all curves together."""
    by_curve = tuple(map(all_runs, results))
    failed = once(pd.concat([one.sweep.failed for one in results], ignore_index=True))
    runs = Runs(by_curve, once(pd.concat(by_curve, ignore_index=True)), failed)
    return run_sections(runs, name)


def run_sections(runs: Runs, name: str) -> list[str]:
    """Return `RUN_SECTIONS` of a page's runs."""
    return [html for one in RUN_SECTIONS for html in one.html(runs, name)]


_HINT = '<p class="note">Wheel with Ctrl or Shift zooms, dragging moves, a double click resets.</p>'


CURVE_SECTIONS: list[Section[SweepAnalysis]] = [
    Section("What was read off the curve", lambda result, name: readings(result)),
    Section(
        "Per rho",
        lambda result, name: table(per_rho(result)),
        "Losses in nats/token; mean is adjusted for seeds.",
    ),
    Section(
        "Control arms",
        lambda result, name: arms(result),
        "Paired over common seeds; positive means a lower loss than the other.",
    ),
    Section("The anchor, trained in batches", lambda result, name: drift(result)),
]
"""Sections of every curve, in their order on the page."""

LITERATURE_SECTIONS: list[Section[SweepAnalysis]] = [
    Section(
        "Beside the literature",
        literature,
        "Printed numbers only; nothing is read off a figure.",
    ),
]
"""Sections of the page of one sweep; a page of several conditions has none."""

RUN_SECTIONS: list[Section[Runs]] = [
    Section(
        "Ledger",
        lambda runs, name: built(runs),
        "Parameters without embedding and LM head; FLOPs per token with the LM head.",
    ),
    Section(
        "Spent",
        lambda runs, name: table(bill(runs.together)),
        "Run hours are wall-clock of training, summed over runs.",
    ),
    Section("Every run", lambda runs, name: every_run(runs), rows_left_out),
    Section("Failures", lambda runs, name: failures(runs.failed)),
    Section("Where this comes from", lambda runs, name: origin(runs.together)),
    Section("How to make it again", lambda runs, name: again(name)),
]
"""Sections of all runs of a page, in their order."""
