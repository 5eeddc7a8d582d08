"""report.html: one file without outside requests: verdict, picture, tables, provenance, how to make it again."""

from collections.abc import Sequence
from html import escape

import pandas as pd

from analysis.literature import POINTS
from analysis.report.budget_tables import bill, ledger
from analysis.report.numbers import as_json, per_rho
from analysis.report.verdict_sentences import StatedVerdict
from analysis.report.zoom import ZOOM
from analysis.sweep.sweep_analysis import SweepAnalysis

_CSS = """
body { font: 16px/1.5 system-ui, sans-serif; color: #22223b; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
.verdict { border-left: 5px solid #1f5fa8; background: #eef3f9; padding: .8rem 1rem }
.word { font-weight: 700; letter-spacing: .03em }
figure { margin: 1rem 0 } figure svg { width: 100%; height: auto }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-size: .85rem; white-space: nowrap }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #dde1e7 }
th { position: sticky; top: 0; background: white } td:first-child, th:first-child { text-align: left }
th { white-space: normal; vertical-align: bottom } td.words { white-space: normal; text-align: left; min-width: 9rem }
code, pre { background: #f3f4f6; padding: .1rem .3rem } pre { padding: .8rem; overflow-x: auto }
.note { color: #5b6070; font-size: .9rem }
"""
# The browser itself refuses anything from outside the file.
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
)
RUN_COLUMNS = (
    "arm", "rho", "rho_asked", "seed", "outcome", "validation_loss", "train_loss", "routed_experts", "params_total",
    "params_active", "params_table", "flops_per_token", "tokens", "tokens_per_second", "wall_seconds",
    "restarts", "dead_experts", "run_id",
)  # fmt: skip
MOST_ROWS = 1000
ORIGIN_COLUMNS = (
    "scale", "schema_version", "corpus_fingerprint", "tokenizer_fingerprint", "git_commit", "git_diff", "versions",
    "host", "device", "driver", "world_size",
)  # fmt: skip


def html_page(
    study: SweepAnalysis, verdict: StatedVerdict, name: str, svg: str, beside: str
) -> str:
    """Return the page as text.

    Args:
        study: the analysed sweep.
        verdict: what may be said.
        name: what the sweep is called.
        svg: the picture, a whole SVG file.
        beside: the picture beside printed results, a whole SVG file.
    """
    literature = figure(beside, "gains over rho, this sweep and printed ones") + _literature()
    sections = [
        *curve_sections(study, verdict, svg),
        section(
            "Beside the literature",
            literature,
            "Printed numbers only; nothing is read off a figure.",
        ),
        *run_sections([study], name),
    ]
    return document(name, sections)


def curve_sections(study: SweepAnalysis, verdict: StatedVerdict, svg: str) -> list[str]:
    """Return what one curve says: verdict, picture, numbers, arms."""
    drift = study.anchor_drift
    return [
        f'<p class="verdict"><span class="word">{verdict.word}</span><br>{escape(verdict.sentence)}</p>',
        figure(svg, verdict.sentence) + _HINT,
        section("What was read off the curve", _readings(study)),
        section(
            "Per rho", table(per_rho(study)), "Losses in nats/token; mean is adjusted for seeds."
        ),
        section(
            "Control arms",
            _arms(study),
            "Paired over common seeds; positive means a lower loss than the other.",
        ),
        *(
            [section("The anchor, trained in batches", f"<p>{escape(drift.sentence)}</p>")]
            if drift
            else []
        ),
    ]


def run_sections(studies: Sequence[SweepAnalysis], name: str) -> list[str]:
    """Return every run of all curves, what failed, where they come from, how to make it again."""
    runs = pd.concat([_all_runs(one) for one in studies], ignore_index=True)
    failed = pd.concat([one.sweep.failed for one in studies], ignore_index=True)
    ledgers = [ledger(_all_runs(one)) for one in studies]
    built = (
        "".join(table(one) for one in ledgers if len(one))
        or "<p>The table of runs does not say what was built.</p>"
    )
    more = ""
    if len(runs) > MOST_ROWS:
        more = f"The first {MOST_ROWS} of {len(runs)} runs; engram-sweep export {name} FILE.parquet writes them all."
    return [
        section(
            "Ledger",
            built,
            "Parameters without embedding and LM head; FLOPs per token with the LM head.",
        ),
        section(
            "Spent", table(bill(runs)), "Run hours are wall-clock of training, summed over runs."
        ),
        section(
            "Every run",
            table(runs.loc[:, [c for c in RUN_COLUMNS if c in runs]].head(MOST_ROWS)),
            more,
        ),
        section("Failures", _failures(failed)),
        section("Where this comes from", _origin(runs)),
        section("How to make it again", _again(name)),
    ]


def _all_runs(study: SweepAnalysis) -> pd.DataFrame:
    sweep = study.sweep
    frames = (sweep.curve, sweep.arms, sweep.failed, sweep.repeats)
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)


def document(name: str, sections: Sequence[str]) -> str:
    """Return a whole page, style included."""
    sections = [f"<h1>Loss over the share of experts: {escape(name)}</h1>", *sections]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(name)}: loss over rho</title>'
        f'<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"{_POLICY}<style>{_CSS}</style></head><body>\n"
        + "\n".join(sections)
        + f"\n<script>{ZOOM}</script>\n"
        "</body></html>\n"
    )


_HINT = '<p class="note">Wheel with Ctrl or Shift zooms, dragging moves, a double click resets.</p>'


def section(title: str, body: str, note: str = "") -> str:
    """Return a heading, a note in words, and a body of HTML."""
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<h2>{escape(title)}</h2>{said}{body}"


def figure(svg: str, words: str) -> str:
    """Return a whole SVG file as part of the page, with words for who cannot see it."""
    return f'<figure role="img" aria-label="{escape(words, quote=True)}">{svg[svg.index("<svg") :]}</figure>'


def table(frame: pd.DataFrame) -> str:
    """Return a frame without its index."""
    # Spaces instead of underscores: a head may then wrap, and a wide table stays on the page.
    head = "".join(f"<th>{escape(str(column).replace('_', ' '))}</th>" for column in frame.columns)
    rows = ("".join(map(_td, row)) for row in frame.itertuples(index=False))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _td(value: object) -> str:
    """Numbers stay on one line at the right, words may wrap at the left."""
    words = isinstance(value, str) and value[:1].isalpha() and " " in value
    return f"<td{' class=words' if words else ''}>{escape(_cell(value))}</td>"


def _cell(value: object) -> str:
    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return "none"
    if isinstance(value, float):
        return f"{value:.5g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)


def _limits(low: float | None, high: float | None) -> str:
    return "none" if low is None and high is None else f"{_cell(low)} to {_cell(high)}"


def _readings(study: SweepAnalysis) -> str:
    numbers = as_json(study)
    near = numbers["near_optimal"]
    rows = [
        ("rho*", study.rho_star.value, _limits(study.rho_star.low, study.rho_star.high)),
        ("gain over rho = 1 (nats/token)", study.gain_over_moe.value,
         _limits(study.gain_over_moe.low, study.gain_over_moe.high)),
        (f"near-optimal from (within {study.delta:g})", near["low"], _limits(*(near["low_interval"] or (None, None)))),
        ("near-optimal to", near["high"], _limits(*(near["high_interval"] or (None, None)))),
        ("break-even rho", study.break_even.value, _limits(study.break_even.low, study.break_even.high)),
        ("p of no U", numbers["p_u"], ""),
        ("run noise (nats/token)", numbers["noise"], ""),
        ("forms disagree on rho* by", numbers["model_uncertainty"]["rho_star"], ""),
        ("forms disagree on the gain by (nats/token)", numbers["model_uncertainty"]["gain_over_moe"], ""),
        *((f"p of no {name.replace('_', ' ')}", p, "") for name, p in numbers["diagnostics"].items()),
        ("form", numbers["form"], ""),
    ]  # fmt: skip
    return table(pd.DataFrame(rows, columns=["", "value", f"{study.level:.0%} interval"]))


def _arms(study: SweepAnalysis) -> str:
    if not study.arms:
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
        for arm in study.arms
    ]
    return table(pd.DataFrame(rows))


def _literature() -> str:
    rows = [
        {"work": p.work, "setting": p.setting, "rho": p.rho, "loss (nats/token)": p.loss, "certainty": p.certainty,
         "source": p.source}
        for p in POINTS
    ]  # fmt: skip
    return table(pd.DataFrame(rows))


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
    """Return a map column reads back as pairs."""
    if isinstance(value, (list, tuple)):
        return ", ".join(f"{key} {text}" for key, text in value)
    return "none" if value is None else str(value)


def _again(name: str) -> str:
    return (
        f"<pre>make sweep SCALE={escape(name)}\nmake report SCALE={escape(name)}\n"
        f"engram-sweep fit {escape(name)} --json</pre>"
    )
