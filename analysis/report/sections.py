"""What report.html contains: one list of sections for each curve, and one for all runs.

A section with a new figure is a function in `analysis.figures` and an entry in one of these lists.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Generic, TypeVar

import pandas as pd

from analysis.figures.literature import gains_over_rho
from analysis.figures.style import render
from analysis.literature import POINTS
from analysis.report.budget_tables import bill, ledger
from analysis.report.numbers import as_json, per_rho
from analysis.report.page import cell, document, figure, section, table
from analysis.report.verdict_sentences import StatedVerdict
from analysis.sweep.sweep_analysis import SweepAnalysis

T = TypeVar("T")

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


@dataclass(frozen=True)
class Runs:
    """All runs of a page: of one sweep, or of every condition."""

    by_curve: tuple[pd.DataFrame, ...]
    together: pd.DataFrame
    failed: pd.DataFrame
    """Those without a loss."""


def sweep_page(
    result: SweepAnalysis,
    verdict: StatedVerdict,
    name: str,
    svg: str,
    inside: Sequence[str] = (),
) -> str:
    """Return the page of one sweep as text.

    Args:
        result: the analysed sweep.
        verdict: its word and sentence.
        name: what the sweep is called.
        svg: the picture, a whole SVG file.
        inside: sections of what was measured inside the runs (`inside.inside_html`).
    """
    literature = [html for one in LITERATURE_SECTIONS for html in one.html(result, name)]
    curve = curve_html(result, verdict, name, svg)
    return document(name, [*curve, *inside, *literature, *runs_html([result], name)])


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
    by_curve = tuple(map(_all_runs, results))
    failed = _once(pd.concat([one.sweep.failed for one in results], ignore_index=True))
    runs = Runs(by_curve, _once(pd.concat(by_curve, ignore_index=True)), failed)
    return run_sections(runs, name)


def run_sections(runs: Runs, name: str) -> list[str]:
    """Return `RUN_SECTIONS` of a page's runs."""
    return [html for one in RUN_SECTIONS for html in one.html(runs, name)]


_HINT = '<p class="note">Wheel with Ctrl or Shift zooms, dragging moves, a double click resets.</p>'


def _all_runs(result: SweepAnalysis) -> pd.DataFrame:
    sweep = result.sweep
    frames = (sweep.curve, sweep.arms, sweep.failed, sweep.repeats)
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)


def _once(runs: pd.DataFrame) -> pd.DataFrame:
    """Return every training once: two curves of one place share their runs at rho = 1."""
    if "run_id" not in runs:
        return runs
    # A run that was trained again elsewhere has the same id and another start.
    keys = [column for column in ("run_id", "started_at", "host") if column in runs]
    return runs.loc[~runs.duplicated(keys) | runs["run_id"].isna()].reset_index(drop=True)


def _limits(low: float | None, high: float | None) -> str:
    return "none" if low is None and high is None else f"{cell(low)} to {cell(high)}"


def _readings(result: SweepAnalysis) -> str:
    numbers = as_json(result)
    near = numbers["near_optimal"]
    rows = [
        ("rho*", result.rho_star.value, _limits(result.rho_star.low, result.rho_star.high)),
        (
            "gain over rho = 1 (nats/token)",
            result.gain_over_moe.value,
            _limits(result.gain_over_moe.low, result.gain_over_moe.high),
        ),
        (
            f"near-optimal from (within {result.delta:g})",
            near["low"],
            _limits(*(near["low_interval"] or (None, None))),
        ),
        ("near-optimal to", near["high"], _limits(*(near["high_interval"] or (None, None)))),
        (
            "break-even rho",
            result.break_even.value,
            _limits(result.break_even.low, result.break_even.high),
        ),
        ("p of no U", numbers["p_u"], ""),
        ("run noise (nats/token)", numbers["noise"], ""),
        (
            "noise at rho = 1 over that of other runs",
            result.anchor_noise.value,
            _limits(result.anchor_noise.low, result.anchor_noise.high),
        ),
        *_next_run(result),
        ("forms disagree on rho* by", numbers["model_uncertainty"]["rho_star"], ""),
        (
            "forms disagree on the gain by (nats/token)",
            numbers["model_uncertainty"]["gain_over_moe"],
            "",
        ),
        *(
            (f"p of no {name.replace('_', ' ')}", p, "")
            for name, p in numbers["diagnostics"].items()
        ),
        ("form", numbers["form"], ""),
    ]
    return table(pd.DataFrame(rows, columns=["", "value", f"{result.level:.0%} interval"]))


def _next_run(result: SweepAnalysis) -> list[tuple[str, float, str]]:
    """Return the row of what one more run is worth, if that is known."""
    more = result.next_run
    if more is None:
        return []
    worth = f"removes {more.share:.0%} of the gain's variance"
    return [("one more run is worth most at rho", more.rho, worth)]


def _arms(result: SweepAnalysis) -> str:
    if not result.arms:
        return "<p>None in this sweep.</p>"
    rows = [
        {
            "arm": arm.arm,
            "rho": arm.rho,
            "runs": arm.runs,
            "loss (nats/token)": arm.loss,
            "gain over rho = 1": arm.gain_over_moe.value,
            "interval": _limits(arm.gain_over_moe.low, arm.gain_over_moe.high),
            "gain over the hybrid at this rho": arm.gain_over_hybrid.value,
            "its interval": _limits(arm.gain_over_hybrid.low, arm.gain_over_hybrid.high),
        }
        for arm in result.arms
    ]
    return table(pd.DataFrame(rows))


def _literature(result: SweepAnalysis, name: str) -> str:
    picture = render(gains_over_rho(result, name), "svg").decode()
    rows = [
        {
            "work": p.work,
            "setting": p.setting,
            "rho": p.rho,
            "loss (nats/token)": p.loss,
            "certainty": p.certainty,
            "source": p.source,
        }
        for p in POINTS
    ]
    words = "gains over rho, this sweep and printed ones"
    return figure(picture, words) + table(pd.DataFrame(rows))


def _failures(failed: pd.DataFrame) -> str:
    if failed.empty:
        return "<p>Every run has a loss.</p>"
    columns = [c for c in ("arm", "rho", "seed", "outcome", "run_id", "host") if c in failed]
    return "<p>These runs have no loss and are in no fit.</p>" + table(failed.loc[:, columns])


def _origin(runs: pd.DataFrame) -> str:
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
    return "none" if value is None else str(value)


def _again(name: str) -> str:
    return (
        f"<pre>make sweep SCALE={escape(name)}\nmake report SCALE={escape(name)}\n"
        f"engram-sweep fit {escape(name)} --json</pre>"
    )


def _drift(result: SweepAnalysis) -> str | None:
    drift = result.anchor_drift
    return f"<p>{escape(drift.sentence)}</p>" if drift else None


def _built(runs: Runs) -> str:
    tables = [ledger(one) for one in runs.by_curve]
    built = "".join(table(one) for one in tables if len(one))
    return built or "<p>The table of runs does not say what was built.</p>"


def _every_run(runs: Runs) -> str:
    # A column that no run fills, such as the table size of a sweep over rho, is left out.
    known = runs.together.dropna(axis="columns", how="all")
    return table(known.loc[:, [c for c in RUN_COLUMNS if c in known]].head(MAX_ROWS))


def _rows_left_out(runs: Runs, name: str) -> str:
    count = len(runs.together)
    if count <= MAX_ROWS:
        return ""
    return (
        f"The first {MAX_ROWS} of {count} runs; engram-sweep export {name} FILE.parquet "
        "writes them all."
    )


CURVE_SECTIONS: list[Section[SweepAnalysis]] = [
    Section("What was read off the curve", lambda result, name: _readings(result)),
    Section(
        "Per rho",
        lambda result, name: table(per_rho(result)),
        "Losses in nats/token; mean is adjusted for seeds.",
    ),
    Section(
        "Control arms",
        lambda result, name: _arms(result),
        "Paired over common seeds; positive means a lower loss than the other.",
    ),
    Section("The anchor, trained in batches", lambda result, name: _drift(result)),
]
"""Sections of every curve, in their order on the page."""

LITERATURE_SECTIONS: list[Section[SweepAnalysis]] = [
    Section(
        "Beside the literature",
        _literature,
        "Printed numbers only; nothing is read off a figure.",
    ),
]
"""Sections of the page of one sweep; a page of several conditions has none."""

RUN_SECTIONS: list[Section[Runs]] = [
    Section(
        "Ledger",
        lambda runs, name: _built(runs),
        "Parameters without embedding and LM head; FLOPs per token with the LM head.",
    ),
    Section(
        "Spent",
        lambda runs, name: table(bill(runs.together)),
        "Run hours are wall-clock of training, summed over runs.",
    ),
    Section("Every run", lambda runs, name: _every_run(runs), _rows_left_out),
    Section("Failures", lambda runs, name: _failures(runs.failed)),
    Section("Where this comes from", lambda runs, name: _origin(runs.together)),
    Section("How to make it again", lambda runs, name: _again(name)),
]
"""Sections of all runs of a page, in their order."""
