"""What was measured inside the runs of a sweep, as files and as sections of its page.

`results/<scale>/inside/` holds, for each measure, its figure, the table behind it, what was
measured (every run's rows, to hand on) and the sentences (`inside_sections` reads them).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.cka import alignment_by_layer
from analysis.figures.depth import divergence_by_layer
from analysis.figures.eval import bits_by_task
from analysis.figures.gates import gates_by_stratum
from analysis.figures.hot_rows import hits_over_share
from analysis.figures.retrieval import match_over_distance
from analysis.figures.strata import gain_by_stratum
from analysis.figures.suppress import loss_without_memory
from analysis.inside.cka import analyse_cka, cka_table, state_cka
from analysis.inside.depth import analyse_depth, depth_table, state_depth
from analysis.inside.eval import analyse_eval, eval_table, state_eval
from analysis.inside.gates import analyse_gates, gates_table, state_gates
from analysis.inside.hot_rows import analyse_hot_rows, hot_rows_table, state_hot_rows
from analysis.inside.retrieval import analyse_retrieval, retrieval_table, state_retrieval
from analysis.inside.strata import analyse_strata, state_strata, strata_table
from analysis.inside.suppress import analyse_suppress, state_suppress, suppress_table
from analysis.report.inside_sections import FOLDER, runs_digest, write_section
from analysis.report.write import writing
from engram_sweep.atomic_files import write_atomically
from engram_sweep.errors import UserError
from engram_sweep.runs.measures import has_measure, read_measures
from engram_sweep.runs.records import read_runs

T = TypeVar("T")


@dataclass(frozen=True)
class View(Generic[T]):
    """How a measure is shown: from its rows to sentences, a table and a figure."""

    measure: str
    """Name of the measure, of its command and of its files."""
    title: str
    """Of its section, and of its figure."""
    analyse: Callable[[pd.DataFrame, str, float], T]
    """From rows, what to call them in messages and the level of intervals; raises UserError."""
    sentences: Callable[[T], list[str]]
    table: Callable[[T], pd.DataFrame]
    figure: Callable[[T, str], Figure]
    """From the analysis and a title."""


VIEWS: tuple[View[Any], ...] = (
    View(
        "strata",
        "Where the gain lives",
        analyse_strata,
        state_strata,
        strata_table,
        gain_by_stratum,
    ),
    View(
        "suppress",
        "What the memory is used for",
        analyse_suppress,
        state_suppress,
        suppress_table,
        loss_without_memory,
    ),
    View(
        "gates", "How far the gates open", analyse_gates, state_gates, gates_table, gates_by_stratum
    ),
    View(
        "hot-rows",
        "What a cache of rows would serve",
        analyse_hot_rows,
        state_hot_rows,
        hot_rows_table,
        hits_over_share,
    ),
    View(
        "depth",
        "How early a prediction is ready",
        analyse_depth,
        state_depth,
        depth_table,
        divergence_by_layer,
    ),
    View("cka", "Which layers are alike", analyse_cka, state_cka, cka_table, alignment_by_layer),
    View(
        "retrieval",
        "What is found inside the window",
        analyse_retrieval,
        state_retrieval,
        retrieval_table,
        match_over_distance,
    ),
    View("eval", "What tasks show", analyse_eval, state_eval, eval_table, bits_by_task),
)
"""Views of all measures, in their order on the page."""


def write_inside(
    scale: str,
    results: Path,
    level: float,
    changes: Collection[str] = (),
    only: str | None = None,
) -> list[str]:
    """Analyse and draw every measure that a sweep has, or one; return their sentences.

    Args:
        scale: its name.
        results: results folder.
        level: nominal coverage of every interval.
        changes: as in `read_runs`.
        only: name of the one measure; None for all.

    Raises:
        UserError: nothing was measured, a measure cannot be analysed, or the folder not written.
    """
    asked = [view for view in VIEWS if only in (None, view.measure)]
    views = [view for view in asked if has_measure(scale, results, view.measure)]
    if not views:
        commands = ", ".join(view.measure for view in asked)
        raise UserError(
            f"{results / scale}: expected runs that were measured, found none; engram-sweep "
            f"MEASURE {scale} measures them, MEASURE being one of {commands}"
        )
    digest = runs_digest(read_runs(scale, results, changes))
    said = []
    for place, view in enumerate(VIEWS):
        if view in views:
            rows = read_measures(scale, results, view.measure, changes)
            said += _write(view, place, rows, results / scale, level, digest)
    return said


def _write(
    view: View[T], place: int, rows: pd.DataFrame, folder: Path, level: float, digest: str
) -> list[str]:
    name = folder.name
    source = f"{name}, {view.measure}"
    try:
        result = view.analyse(rows, source, level)
    except UserError:
        raise
    except ValueError as error:
        # What was measured does not go together: no seed that all have, say.
        raise UserError(f"{source}: {error}") from None
    sentences, numbers = view.sentences(result), view.table(result)
    figure = view.figure(result, f"{view.title}, {name}")
    with writing(folder):
        (folder / FOLDER).mkdir(exist_ok=True)
        write_atomically(
            folder / FOLDER / f"{view.measure}.parquet",
            lambda path: rows.to_parquet(path, index=False),
        )
        write_section(folder, view.measure, place, view.title, sentences, numbers, figure, digest)
    return sentences
