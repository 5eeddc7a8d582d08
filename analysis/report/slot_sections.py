"""What report.html contains of a sweep over table sizes."""

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.curve.rounding import decimals, decimals_of
from analysis.report.curve_tables import limits
from analysis.report.page import document
from analysis.report.page_figure import figure
from analysis.report.page_table import NOTHING, table
from analysis.report.run_tables import Runs
from analysis.report.sections import Section, run_sections, training_html
from analysis.report.slot_numbers import per_size
from analysis.report.slot_sentences import word
from analysis.slots.slots_analysis import SlotsAnalysis
from engram_sweep.planning.arms import ARMS


def slots_page(
    result: SlotsAnalysis,
    sentences: Sequence[str],
    name: str,
    picture: Figure,
    registered: str | None = None,
    inside: Sequence[str] = (),
) -> str:
    """Return the page of a sweep over table sizes as text.

    Args:
        result: the analysed sweep.
        sentences: what it shows.
        name: what the sweep is called.
        picture: the loss over the table size.
        registered: whether a registered plan was kept, in words.
        inside: sections that are analysed apart from it (`inside_sections.read_inside`).
    """
    runs = result.runs
    parts = (runs.sized, runs.beside, runs.variants, runs.failed, runs.repeats)
    frames = [frame for frame in parts if len(frame)]
    every = pd.concat(frames, ignore_index=True)
    body = [
        f'<p class="verdict">{"<br>".join(map(escape, sentences))}</p>',
        figure(picture, " ".join(sentences)),
        *(html for one in SLOT_SECTIONS for html in one.html(result, name)),
        *training_html(every, name),
        *inside,
        *run_sections(Runs((every,), every, runs.failed, registered), name),
    ]
    return document(name, body, "Loss over the table size")


def _slopes(result: SlotsAnalysis) -> str:
    rows = []
    for one in result.arms:
        row = {
            "arm": ARMS[one.arm].label,
            "slope per doubling": one.slope.value,
            "interval": limits(one.slope),
            "loss over log M": word(one).replace("_", " "),
        }
        if one.line is not None:
            held = one.line.holds
            row |= {
                "p of no bend": one.line.p_bend,
                "p of no misfit": one.line.p_misfit,
                "slope at the smallest": one.line.first_slope.value,
                "its interval": limits(one.line.first_slope),
                "slope at the largest": one.line.last_slope.value,
                "interval of that": limits(one.line.last_slope),
                "no bend from M": NOTHING if held is None else f"{held[0]:,.0f} to {held[1]:,.0f}",
            }
        rows.append(row)
    digits = min(decimals_of(one.slope, 4) for one in result.arms)
    slopes = ("slope per doubling", "slope at the smallest", "slope at the largest")
    tests = dict.fromkeys(("p of no bend", "p of no misfit"), 3)
    return table(pd.DataFrame(rows), dict.fromkeys(slopes, digits) | tests)


def _sizes(result: SlotsAnalysis) -> str:
    frame = per_size(result).assign(arm=lambda rows: [ARMS[arm].label for arm in rows["arm"]])
    digits = decimals(float(np.min(frame["se"])), 4)
    whole = dict.fromkeys(("rows_per_head", "table_rows", "rows_touched"), 0)
    losses = dict.fromkeys(("mean", "se", "gain_over_moe"), digits)
    return table(frame, whole | losses | {"touched": 3})


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
                "interval": limits(one),
            }
            for where, one in readings
        ]
    digits = min(decimals_of(pair.mean, 4) for pair in result.paired)
    return table(pd.DataFrame(rows), {"gain": digits})


SLOT_SECTIONS: list[Section[SlotsAnalysis]] = [
    Section(
        "Per doubling of the table",
        lambda result, name: _slopes(result),
        "Nats/token; the slope is the mean one over all sizes, whether a line holds or not.",
    ),
    Section(
        "Per table size",
        lambda result, name: _sizes(result),
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
