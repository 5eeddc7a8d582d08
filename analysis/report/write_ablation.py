"""The variants of a sweep, as files and as a section of its page (`inside_sections`)."""

from pathlib import Path

import pandas as pd

from analysis.figures.variants import worth_of_parts
from analysis.report.ablation_sentences import ablation_table, state_ablation
from analysis.report.inside_sections import runs_digest, write_section
from analysis.report.write import writing
from analysis.runs.conditions import Condition, labels, split_conditions
from analysis.runs.slot_table import has_table_sizes
from analysis.sweep.ablation import analyse_ablation, has_variants
from engram_sweep.errors import UserError

NAME = "ablate"
"""Of the command and of its files."""
TITLE = "What each part of the module is worth"
PLACE = -1
"""Before the measures inside the runs."""


def write_ablation(runs: pd.DataFrame, folder: Path, name: str, level: float) -> list[str]:
    """Analyse and draw the variants of a table of runs; return their sentences.

    Files in `<folder>/inside/`: ablate.png, .pdf, .svg, ablate_table.parquet, ablate.json.

    Args:
        runs: one row per run.
        folder: that of the sweep.
        name: what the sweep is called.
        level: coverage of all intervals together.

    Raises:
        UserError: there are no variants, they cannot be analysed, or the folder not written.
    """
    if not has_variants(runs):
        raise UserError(f"{name}: expected finished runs of variants (sweep.variants), found none")
    conditions = [one for one in _conditions(runs, name) if has_variants(one.runs)]
    found = [analyse_ablation(one.runs, name, level) for one in conditions]
    said, tables = [], []
    for label, result in zip(labels(conditions), found, strict=True):
        sentences, table = state_ablation(result), ablation_table(result)
        if len(found) > 1:
            sentences = [f"{label}: {words}" for words in sentences]
            table.insert(0, "condition", label)
        said += sentences
        tables.append(table)
    # Sentences and table are of all conditions, the figure of the first.
    called = name if len(found) == 1 else f"{name}, {labels(conditions)[0]}"
    figure = worth_of_parts(found[0], f"{TITLE}, {called}")
    with writing(folder):
        digest = runs_digest(runs)
        write_section(folder, NAME, PLACE, TITLE, said, pd.concat(tables), figure, digest)
    return said


def _conditions(runs: pd.DataFrame, name: str) -> tuple[Condition, ...]:
    # Tables of given size lie on one backbone, whatever P_tot they bring.
    if has_table_sizes(runs):
        return (Condition("", {}, runs),)
    return split_conditions(runs, name)
