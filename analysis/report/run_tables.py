"""What a page says of its runs in tables: each of them, failures, provenance, what was built."""

from dataclasses import dataclass
from html import escape

import pandas as pd

from analysis.report.budget_tables import ledger
from analysis.report.page_table import NOTHING, table
from analysis.sweep.sweep_analysis import SweepAnalysis
from engram_sweep.runs.table_files import SUFFIXES

RUN_COLUMNS = (
    "arm", "rho", "rho_asked", "rows_per_head_asked", "seed", "outcome", "validation_loss",
    "train_loss",
    "routed_experts", "params_total", "params_active", "params_table", "flops_per_token", "tokens",
    "tokens_per_second", "wall_seconds", "restarts", "dead_experts", "run_id",
)  # fmt: skip
MAX_ROWS = 1000
ORIGIN_COLUMNS = (
    "scale", "schema_version", "corpus_fingerprint", "tokenizer_fingerprint", "git_commit",
    "git_diff", "versions", "host", "device", "driver", "world_size",
)  # fmt: skip


@dataclass(frozen=True)
class Runs:
    """All runs of a page: of one sweep, or of every condition."""

    by_curve: tuple[pd.DataFrame, ...]
    together: pd.DataFrame
    failed: pd.DataFrame
    """Those without a loss."""
    registered: str | None = None
    """Whether a registered plan was kept, in words; None if none was registered."""


def all_runs(result: SweepAnalysis) -> pd.DataFrame:
    """Return every run of a sweep: of the curve, arms and variants, failed and repeated ones."""
    sweep = result.sweep
    frames = (sweep.curve, sweep.arms, sweep.variants, sweep.failed, sweep.repeats)
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)


def once(runs: pd.DataFrame) -> pd.DataFrame:
    """Return every training once: two curves of one place share their runs at rho = 1."""
    if "run_id" not in runs:
        return runs
    # A run that was trained again elsewhere has the same id and another start.
    keys = [column for column in ("run_id", "started_at", "host") if column in runs]
    return runs.loc[~runs.duplicated(keys) | runs["run_id"].isna()].reset_index(drop=True)


def built(runs: Runs) -> str:
    """Return what was built, a table for each curve."""
    tables = [ledger(one) for one in runs.by_curve]
    html = "".join(table(one) for one in tables if len(one))
    return html or "<p>The table of runs does not say what was built.</p>"


def every_run(runs: Runs) -> str:
    """Return a table with a row for each run."""
    # A column that no run fills, such as the table size of a sweep over rho, is left out.
    known = runs.together.dropna(axis="columns", how="all")
    shown = known.loc[:, [c for c in RUN_COLUMNS if c in known]].head(MAX_ROWS)
    return table(shown, {"rho": 3, "validation_loss": 4, "train_loss": 4}, _anchors(shown))


def _anchors(shown: pd.DataFrame) -> list[str]:
    """Return an anchor for each row, which points of figures lead to; none without run ids."""
    if "run_id" not in shown:
        return []
    # A run that was trained again has two rows and one id.
    again = shown.duplicated("run_id")
    return [
        f"repeat-{row}-{run_id}" if second else f"run-{run_id}"
        for row, (run_id, second) in enumerate(zip(shown["run_id"], again, strict=True))
    ]


def rows_left_out(runs: Runs, name: str) -> str:
    """Return how to get all runs if the table holds some of them only."""
    count = len(runs.together)
    if count <= MAX_ROWS:
        return ""
    return (
        f"The first {MAX_ROWS} of {count} runs; engram-sweep export {name} FILE.parquet "
        "writes them all."
    )


def failures(failed: pd.DataFrame) -> str:
    """Return the table of runs without a loss."""
    if failed.empty:
        return "<p>Every run has a loss.</p>"
    columns = [c for c in ("arm", "rho", "seed", "outcome", "run_id", "host") if c in failed]
    return "<p>These runs have no loss and are in no fit.</p>" + table(failed.loc[:, columns])


def origin(runs: pd.DataFrame) -> str:
    """Return which machines, versions, commits and texts the runs come from."""
    rows = []
    for column in ORIGIN_COLUMNS:
        if column in runs:
            # As text, because a map column reads back as lists; each value is put in words once.
            text = runs[column].map(str)
            first = ~text.duplicated()
            words = dict(zip(text[first], map(_plain, runs[column][first]), strict=True))
            rows += [
                {"": column, "value": words[of], "runs": count}
                for of, count in text.value_counts().items()
            ]
    for column, reduce in (("started_at", "min"), ("finished_at", "max")):
        if column in runs:
            rows.append(
                {"": column, "value": str(getattr(runs[column], reduce)()), "runs": len(runs)}
            )
    return table(pd.DataFrame(rows)) if rows else "<p>The table of runs holds no provenance.</p>"


def _plain(value: object) -> str:
    """Return a value in words; a map column reads back as pairs."""
    if isinstance(value, (list, tuple)):
        return ", ".join(f"{key} {text}" for key, text in value)
    return NOTHING if value is None else str(value)


def again(name: str) -> str:
    """Return the commands that make a sweep, or the report of a table, again."""
    if name.endswith(SUFFIXES):
        files = " ".join(name.split(" + "))
        return f"<pre>engram-sweep report --records {escape(files)}</pre>"
    scale, _, changes = name.partition(" ")
    arguments = f" ARGS='{changes}'" if changes else ""
    words = (
        f"make sweep SCALE={scale}{arguments}\nmake report SCALE={scale}{arguments}\n"
        f"engram-sweep fit {name} --json"
    )
    return f"<pre>{escape(words)}</pre>"
