"""What report.html contains of a sweep over table sizes."""

from collections.abc import Sequence
from html import escape

import pandas as pd

from analysis.curve.readings import Interval
from analysis.report.page import cell, document, figure, table
from analysis.report.run_tables import Runs
from analysis.report.sections import Section, run_sections
from analysis.report.slot_numbers import per_size
from analysis.report.slot_sentences import word
from analysis.slots.slots_analysis import SlotsAnalysis
from engram_sweep.planning.arms import ARMS


def slots_page(result: SlotsAnalysis, sentences: Sequence[str], name: str, svg: str) -> str:
    """Return the page of a sweep over table sizes as text.

    Args:
        result: the analysed sweep.
        sentences: what it shows.
        name: what the sweep is called.
        svg: the picture, a whole SVG file.
    """
    runs = result.runs
    frames = [frame for frame in (runs.sized, runs.beside, runs.failed, runs.repeats) if len(frame)]
    every = pd.concat(frames, ignore_index=True)
    body = [
        f'<p class="verdict">{"<br>".join(map(escape, sentences))}</p>',
        figure(svg, " ".join(sentences)),
        *(html for one in SLOT_SECTIONS for html in one.html(result, name)),
        *run_sections(Runs((every,), every, runs.failed), name),
    ]
    return document(name, body, "Loss over the table size")


def _limits(one: Interval) -> str:
    return "none" if one.low is None else f"{cell(one.low)} to {cell(one.high)}"


def _slopes(result: SlotsAnalysis) -> str:
    rows = []
    for one in result.arms:
        row = {
            "arm": ARMS[one.arm].label,
            "slope per doubling": one.slope.value,
            "interval": _limits(one.slope),
            "loss over log M": word(one).replace("_", " "),
        }
        if one.line is not None:
            held = one.line.holds
            row |= {
                "p of no bend": one.line.p_bend,
                "p of no misfit": one.line.p_misfit,
                "slope at the smallest": one.line.first_slope.value,
                "its interval": _limits(one.line.first_slope),
                "slope at the largest": one.line.last_slope.value,
                "interval of that": _limits(one.line.last_slope),
                "no bend from M": "none" if held is None else f"{held[0]:,.0f} to {held[1]:,.0f}",
            }
        rows.append(row)
    return table(pd.DataFrame(rows))


def _paired(result: SlotsAnalysis) -> str | None:
    if not result.paired:
        return None
    rows = []
    for pair in result.paired:
        readings = [
            (f"{size:,.0f}", one) for size, one in zip(pair.rows, pair.at_size, strict=True)
        ]
        readings += [("mean of sizes", pair.mean), ("change per doubling", pair.slope)]
        rows += [
            {
                "arm": ARMS[pair.arm].label,
                "over": ARMS[pair.over].label,
                "rows per head": where,
                "gain": one.value,
                "interval": _limits(one),
            }
            for where, one in readings
        ]
    return table(pd.DataFrame(rows))


SLOT_SECTIONS: list[Section[SlotsAnalysis]] = [
    Section(
        "Per doubling of the table",
        lambda result, name: _slopes(result),
        "Nats/token; the slope is the mean one over all sizes, whether a line holds or not.",
    ),
    Section(
        "Per table size",
        lambda result, name: table(per_size(result)),
        "Rows per head of Engram; other arms have as many table parameters. Rows touched are "
        "those that training ever looked up.",
    ),
    Section(
        "The arms, paired by seed",
        lambda result, name: _paired(result),
        "Positive means a lower loss than the other arm, nats/token.",
    ),
]
"""Sections of a sweep over table sizes, in their order on the page."""
