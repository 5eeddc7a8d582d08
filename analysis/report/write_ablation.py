"""The variants of a sweep, as files and as a section of its page (`inside_sections`)."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from analysis.figures.variants import worth_of_parts
from analysis.report.ablation_sentences import ablation_table, state_ablation
from analysis.report.inside_sections import write_section
from analysis.report.write import writing
from analysis.runs.conditions import labels, split_conditions
from analysis.sweep.ablation import analyse_ablation, has_variants
from engram_sweep.errors import UserError
from engram_sweep.runs.records import read_runs

NAME = "ablate"
"""Of the command and of its files."""
TITLE = "What each part of the module is worth"
PLACE = -1
"""Before the measures inside the runs."""


def write_ablation(
    scale: str, results: Path, level: float, changes: Collection[str] = ()
) -> list[str]:
    """Analyse and draw the variants of a sweep; return their sentences.

    Files in `results/<scale>/inside/`: ablate.png, .pdf, .svg, ablate_table.parquet, ablate.json.

    Args:
        scale: its name.
        results: results folder.
        level: coverage of all intervals together.
        changes: as in `read_runs`.

    Raises:
        UserError: there are no variants, they cannot be analysed, or the folder not written.
    """
    runs = read_runs(scale, results, changes)
    if not has_variants(runs):
        raise UserError(
            f"{results / scale}: expected finished runs of variants (sweep.variants), found none"
        )
    conditions = [one for one in split_conditions(runs, scale) if has_variants(one.runs)]
    found = [analyse_ablation(one.runs, scale, level) for one in conditions]
    said, tables = [], []
    for name, result in zip(labels(conditions), found, strict=True):
        sentences, table = state_ablation(result), ablation_table(result)
        if len(found) > 1:
            sentences = [f"{name}: {words}" for words in sentences]
            table.insert(0, "condition", name)
        said += sentences
        tables.append(table)
    # Sentences and table are of all conditions, the figure of the first.
    called = scale if len(found) == 1 else f"{scale}, {labels(conditions)[0]}"
    figure = worth_of_parts(found[0], f"{TITLE}, {called}")
    with writing(results / scale):
        write_section(results / scale, NAME, PLACE, TITLE, said, pd.concat(tables), figure)
    return said
