"""What benchmarks found: kept in results.parquet, shown in docs/performance.md."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from engram_sweep.runs.provenance import code_state
from engram_sweep.training.train import device_name, processor_name

HERE = Path(__file__).resolve().parent
FILE = HERE / "results.parquet"
PAGE = HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def keep(command: str, rows: list[dict[str, str | float]]) -> None:
    """Replace the figures of a benchmark by new ones, in the table and on the page.

    Args:
        command: what was called, from the project's root.
        rows: `case`, `variant`, `figure` and `unit` of each.
    """
    commit, _, changed = str(code_state()["git_commit"]).partition("+")
    new = pd.DataFrame(rows).assign(
        command=command,
        commit=commit[:9] + (" with changes" if changed else ""),
        machine=device_name(compiled=False) if "--gpu" in command else processor_name(),
        day=datetime.now(UTC).date().isoformat(),
    )
    if FILE.exists():
        old = pd.read_parquet(FILE)
        new = pd.concat([old.query("command != @command"), new], ignore_index=True)
    new.to_parquet(FILE)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{tables(new)}{END}{rest.partition(END)[2]}")


def print_rows(rows: list[dict[str, str | float]]) -> None:
    """Print figures as they are kept, a line each."""
    for row in rows:
        figure = shown(float(row["figure"]))
        print(f"{row['case']:38s} {row['variant']:40s} {figure:>9s} {row['unit']}")


def tables(figures: pd.DataFrame) -> str:
    """Return the figures in Markdown, a table for each command."""
    text = ""
    for command, group in figures.groupby("command", sort=False):
        first = group.iloc[0]
        text += f"\n`{command}`, commit {first['commit']}, {first['machine']}, {first['day']}:\n\n"
        text += "| case | variant | figure | |\n|---|---|---|---|\n"
        for row in group.to_dict("records"):
            figure = shown(row["figure"])
            text += f"| {row['case']} | {row['variant']} | {figure} | {row['unit']} |\n"
    return text + "\n"


def shown(figure: float) -> str:
    """Return a figure to three digits, or whole if it is large."""
    return f"{figure:,.0f}" if figure >= 1000 else f"{figure:.3g}"
