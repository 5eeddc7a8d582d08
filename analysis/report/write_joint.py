"""The report of a sweep with several conditions: the pictures, one table, one page."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import loss_vs_rho, style
from analysis.figures.losses_by_condition import losses_by_condition
from analysis.figures.one_law import one_law
from analysis.figures.scaling import optimum_over_axes
from analysis.report import page
from analysis.report.adaptive import looks_section, state_adaptive
from analysis.report.iso import ISO_NOTE, iso_table
from analysis.report.joint_sentences import state_joint
from analysis.report.numbers import per_rho
from analysis.report.page_figure import figure
from analysis.report.page_table import table
from analysis.report.sections import curve_html, runs_html
from analysis.report.verdict_sentences import state_verdict, summary
from analysis.report.write import writing
from analysis.runs.conditions import AXES
from analysis.scaling.joint import JointAnalysis
from analysis.scaling.law import ScalingFit
from engram_sweep.atomic_files import write_atomically


def write_joint_report(
    joint: JointAnalysis,
    folder: Path,
    name: str,
    registered: str | None = None,
    design: dict[str, Any] | None = None,
    inside: Sequence[str] = (),
) -> list[str]:
    """Write figures, summary.parquet and report.html.

    optimum_over_axes is drawn if an axis varies, one_law if a law over all losses is in play.

    Args:
        joint: analysed conditions.
        folder: where to write; it must exist.
        name: what the sweep is called.
        registered: whether a registered plan was kept, in words.
        design: rules and looks, if the sweep is adaptive.
        inside: sections that are analysed apart from it (`inside_sections.read_inside`).

    Returns:
        What the conditions say, each by itself and together, one sentence or more a line.

    Raises:
        UserError: the folder cannot be written.
    """
    verdicts = [state_verdict(one) for one in joint.sweeps]
    together = [*(state_adaptive(design) if design else ()), *state_joint(joint)]
    pictures: dict[str, Figure] = {
        "loss_vs_rho": losses_by_condition(joint, f"Loss over the share of experts, {name}")
    }
    if joint.scaling and joint.scaling.axes.names:
        pictures["optimum_over_axes"] = optimum_over_axes(
            joint.scaling, f"Best share and gain, {name}"
        )
    if joint.raw and joint.raw.in_play:
        pictures["one_law"] = one_law(joint, f"One law over all losses, {name}")
    # What they say together stands first, then every condition by itself, then all runs.
    body = [
        f'<p class="verdict">{"<br>".join(map(escape, together))}</p>',
        *(figure(one, " ".join(together)) for one in pictures.values()),
    ]
    if joint.scaling:
        rows = law_table(joint.scaling)
        digits = {name: 4 if name.startswith("gain") else 2 for name in rows.columns[1:]}
        body.append(page.section("The law and the conditions", table(rows, digits), _LAW_NOTE))
    if design:
        body.append(looks_section(design))
    body += [
        page.section("Strict and paper", table(iso_table(one), {"rho": 3, **_ISO_DIGITS}), ISO_NOTE)
        for one in joint.iso
    ]
    body += inside
    for label, one, verdict in zip(joint.labels, joint.sweeps, verdicts, strict=True):
        picture = loss_vs_rho.loss_vs_rho(one, label, summary(one))
        body += [f"<h1>{escape(label)}</h1>", *curve_html(one, verdict, label, picture)]
    html = page.document(name, [*body, *runs_html(joint.sweeps, name, registered)])
    # All is computed before the first file is written: an error leaves nothing half-done.
    with writing(folder):
        for file, picture in pictures.items():
            style.save(picture, folder, file)
        write_atomically(
            folder / "summary.parquet", lambda path: _summary(joint).to_parquet(path, index=False)
        )
        write_atomically(
            folder / "report.html", lambda path: path.write_text(html, encoding="utf-8") and None
        )
    lines = [
        f"{label}: {verdict.sentence}"
        for label, verdict in zip(joint.labels, verdicts, strict=True)
    ]
    return [*lines, *together]


_ISO_DIGITS = dict.fromkeys(("strict minus paper", "from", "to"), 4)
_LAW_NOTE = (
    "Gains in nats/token. Limits of the law are those of a new condition; a missed one was held "
    "out of the law."
)


def law_table(fit: ScalingFit) -> pd.DataFrame:
    """Return one row per condition: measured, by the law, and missed by the law of the others."""
    rows = []
    for i, (label, sweep, said) in enumerate(
        zip(fit.labels, fit.sweeps, fit.at_conditions, strict=True)
    ):
        row: dict[str, object] = {"condition": label}
        quantities = (
            ("rho*", sweep.rho_star, said.rho_star),
            ("gain", sweep.gain_over_moe, said.gain_over_moe),
        )
        for number, (name, measured, fitted) in enumerate(quantities):
            row[name] = measured.value
            row[f"{name}, law"] = fitted.value
            row[f"{name}, law from"], row[f"{name}, law to"] = fitted.low, fitted.high
            row[f"{name}, missed by"] = fit.held_out[i].error[number] if fit.held_out else None
        rows.append(row)
    return pd.DataFrame(rows)


def _summary(joint: JointAnalysis) -> pd.DataFrame:
    parts = []
    for label, condition, sweep in zip(joint.labels, joint.conditions, joint.sweeps, strict=True):
        axes = {axis: condition.axes.get(axis, np.nan) for axis in AXES}
        parts.append(per_rho(sweep).assign(condition=label, **axes))
    table = pd.concat(parts, ignore_index=True)
    first = ["condition", *AXES]
    return table.reindex(
        columns=[*first, *(column for column in table.columns if column not in first)]
    )
