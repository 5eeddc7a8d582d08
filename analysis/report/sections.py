"""What report.html contains: one list of sections for each curve, and one for all runs.

A section with a new figure is a function in `analysis.figures` and an entry in one of these lists.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Generic, TypeVar

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.learning_curves import learning_curves
from analysis.figures.router import expert_load, gates
from analysis.figures.training_speed import training_speed
from analysis.report.budget_tables import bill
from analysis.report.curve_tables import arms, by_seed, drift, literature, losses, readings
from analysis.report.page import document, section
from analysis.report.page_figure import figure
from analysis.report.page_table import table
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


def sweep_page(
    result: SweepAnalysis,
    verdict: StatedVerdict,
    name: str,
    picture: Figure,
    registered: str | None = None,
    inside: Sequence[str] = (),
) -> str:
    """Return the page of one sweep as text.

    Args:
        result: the analysed sweep.
        verdict: its word and sentence.
        name: what the sweep is called.
        picture: the loss over rho.
        registered: whether a registered plan was kept, in words.
        inside: sections of what was measured inside the runs (`inside_sections.read_inside`).
    """
    literature = [html for one in LITERATURE_SECTIONS for html in one.html(result, name)]
    curve = curve_html(result, verdict, name, picture)
    runs = runs_html([result], name, registered)
    return document(name, [*curve, *inside, *literature, *runs])


def curve_html(
    result: SweepAnalysis, verdict: StatedVerdict, name: str, picture: Figure
) -> list[str]:
    """Return what one curve shows: verdict, picture, `CURVE_SECTIONS`, then its training."""
    return [
        verdict_html(verdict),
        figure(picture, verdict.sentence) + _HINT,
        *(html for one in CURVE_SECTIONS for html in one.html(result, name)),
        *training_html(all_runs(result), name),
    ]


def verdict_html(verdict: StatedVerdict) -> str:
    """Return a verdict: its label, the headline, and a list of notes."""
    notes = "".join(f"<li>{escape(note)}</li>" for note in verdict.notes)
    listed = f"<ul>{notes}</ul>" if notes else ""
    headline = escape(verdict.headline.removeprefix(verdict.label).lstrip(" :"))
    return (
        f'<div class="verdict"><span class="word">{verdict.label}</span><br>'
        f"{headline[:1].upper()}{headline[1:]}{listed}</div>"
    )


def training_html(runs: pd.DataFrame, name: str) -> list[str]:
    """Return `TRAINING_SECTIONS` of the runs of one curve."""
    return [html for one in TRAINING_SECTIONS for html in one.html(runs, name)]


def runs_html(
    results: Sequence[SweepAnalysis], name: str, registered: str | None = None
) -> list[str]:
    """Return `RUN_SECTIONS` of all curves together."""
    by_curve = tuple(map(all_runs, results))
    failed = once(pd.concat([one.sweep.failed for one in results], ignore_index=True))
    runs = Runs(by_curve, once(pd.concat(by_curve, ignore_index=True)), failed, registered)
    return run_sections(runs, name)


def run_sections(runs: Runs, name: str) -> list[str]:
    """Return `RUN_SECTIONS` of a page's runs."""
    return [html for one in RUN_SECTIONS for html in one.html(runs, name)]


_HINT = (
    '<p class="note hint">Points say their run, a click goes to its row. Wheel with Ctrl or Shift '
    "zooms, dragging moves, a double click resets; arrow keys go from point to point.</p>"
)


def _drawn(draw: Callable[[pd.DataFrame, str], Figure | None]) -> Callable[..., str | None]:
    """Return the body of a section that is one figure of a curve's runs."""

    def body(runs: pd.DataFrame, name: str) -> str | None:
        picture = draw(runs, name)
        return None if picture is None else figure(picture, draw.__name__.replace("_", " "))

    return body


CURVE_SECTIONS: list[Section[SweepAnalysis]] = [
    Section("What was read off the curve", lambda result, name: readings(result)),
    Section(
        "Per rho",
        lambda result, name: losses(result),
        "Losses in nats/token; mean is adjusted for seeds.",
    ),
    Section(
        "Per seed",
        lambda result, name: by_seed(result),
        "Validation losses in nats/token. Runs of one seed share their text and its order.",
    ),
    Section(
        "Control arms",
        lambda result, name: arms(result),
        "Paired over common seeds; positive means a lower loss than the other.",
    ),
    Section("The anchor, trained in batches", lambda result, name: drift(result)),
]
"""Sections of every curve, in their order on the page."""

TRAINING_SECTIONS: list[Section[pd.DataFrame]] = [
    Section(
        "Learning curves",
        _drawn(learning_curves),
        "Means over seeds. At the right the same, minus the loss on the same batches at the "
        "largest rho.",
    ),
    Section(
        "Expert load",
        _drawn(expert_load),
        "How often a router chose each expert in the last tenth of the training, 1 being an even "
        "share; thick: 90 % of the experts. A red cross: an expert that was never chosen.",
    ),
    Section("Gates", _drawn(gates), "How far memory is let in: 0 not at all, 1 whole."),
    Section(
        "Training speed",
        _drawn(training_speed),
        "Every run a dot. Hours are wall-clock of training; the bill is under Spent.",
    ),
]
"""Sections of the training of a curve's runs; one of which the table knows nothing is left out."""

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
        "The registered plan",
        lambda runs, name: f"<p>{escape(runs.registered)}</p>" if runs.registered else None,
    ),
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
