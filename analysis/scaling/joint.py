"""The analysis of one or several conditions: each by itself, their law, the anchors they share."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from analysis.runs.conditions import Condition, labels, split_conditions
from analysis.runs.iso_modes import PAPER
from analysis.scaling.axes import axes_of
from analysis.scaling.iso_difference import IsoDifference, iso_differences
from analysis.scaling.law import ScalingFit, scaling, why_no_law
from analysis.scaling.raw_laws import RawLaws, fit_raw_laws, why_no_raw_law
from analysis.scaling.run_laws import fit_longest_run_laws, runs_of_conditions
from analysis.sweep.anchor_drift import AnchorDrift, compare_anchors
from analysis.sweep.sweep_analysis import DELTA, LEVEL, SweepAnalysis, analyse_sweep
from engram_sweep.errors import UserError


@dataclass(frozen=True)
class JointAnalysis:
    """What a table of several conditions says."""

    conditions: tuple[Condition, ...]
    """Those that could be analysed."""
    labels: tuple[str, ...]
    """Their names."""
    sweeps: tuple[SweepAnalysis, ...]
    """Each by itself."""
    left_out: tuple[str, ...]
    """One line for each condition that could not."""
    scaling: ScalingFit | None
    """The law of all; None if `reason` says why not."""
    reason: str | None
    """Why there is no law."""
    raw: RawLaws | None
    """The laws over all losses; None if there is no law, or a reason against these."""
    anchors: tuple[AnchorDrift, ...]
    """What batches of an anchor that several conditions share say."""
    iso: tuple[IsoDifference, ...]
    """How the strict and the paper's curve differ, at every place that has both."""

    @property
    def alone(self) -> bool:
        """Whether the table is one sweep of one condition, with nothing to say beside it."""
        return len(self.sweeps) == 1 and not self.left_out


def analyse(
    table: pd.DataFrame,
    source: str,
    level: float = LEVEL,
    delta: float = DELTA,
    iso: str | None = None,
    adaptive: bool = False,
) -> JointAnalysis:
    """Split a table into conditions and analyse them, by themselves and together.

    Args:
        table: one row per run (table.check_table, conditions.split_conditions).
        source: what to call it in messages.
        level: nominal coverage of every interval.
        delta: what counts as near-optimal, nats/token.
        iso: of places with a strict and a paper's curve, take only this one.
        adaptive: whether the runs were chosen one by one: then the laws over all losses are fitted
            to single runs, which share one noise, as most conditions are thin.

    Raises:
        UserError: no condition can be analysed; one line says why.
    """
    split = split_conditions(table, source)
    if iso is not None:
        if not any(one.iso == iso for one in split):
            raise UserError(f"{source}: --iso {iso}: expected runs of both modes, got those of one")
        split = tuple(one for one in split if one.iso in (None, iso))
    if len(split) == 1:
        return joined(split, [analyse_sweep(split[0].runs, source, level, delta)])
    found, sweeps, refusals = [], [], []
    for condition, name in zip(split, labels(split), strict=True):
        try:
            sweeps.append(analyse_sweep(condition.runs, f"{source}, {name}", level, delta))
            found.append(condition)
        except UserError as error:
            refusals.append(error)
    if not found:
        raise refusals[0]
    joint = joined(found, sweeps, tuple(map(str, refusals)))
    return replace(joint, raw=_laws_over_runs(split, level)) if adaptive else joint


def _laws_over_runs(conditions: Sequence[Condition], level: float) -> RawLaws | None:
    """Return the laws over the single runs of conditions along one axis; None if there are none."""
    axes = axes_of(conditions).names
    if len(axes) != 1:
        return None
    fitted = fit_longest_run_laws(runs_of_conditions(conditions, axes[0]), axes[0], level)
    return fitted and fitted[0]


def joined(
    conditions: Sequence[Condition],
    sweeps: Sequence[SweepAnalysis],
    left_out: tuple[str, ...] = (),
) -> JointAnalysis:
    """Return what analysed conditions say together.

    Args:
        conditions: at least one.
        sweeps: the same, each analysed by itself.
        left_out: one line for each condition that could not be.
    """
    names = labels(conditions)
    reason = _why_no_law(conditions, sweeps, names)
    fit = scaling(conditions, sweeps) if reason is None else None
    raw = None
    if fit is not None and why_no_raw_law(fit.axes, sweeps) is None:
        raw = fit_raw_laws(fit.axes, sweeps)
    # Strict and paper of one place hold the same anchors, not two batches of them.
    once = [s for one, s in zip(conditions, sweeps, strict=True) if one.iso != PAPER]
    return JointAnalysis(
        conditions=tuple(conditions),
        labels=tuple(names),
        sweeps=tuple(sweeps),
        left_out=left_out,
        scaling=fit,
        reason=reason,
        raw=raw,
        anchors=_shared_anchors(once),
        iso=iso_differences(conditions, sweeps),
    )


def _why_no_law(
    conditions: Sequence[Condition], sweeps: Sequence[SweepAnalysis], names: Sequence[str]
) -> str | None:
    """Return why the conditions have no law, None if they do: iso is a label, no axis of one."""
    if len({one.place for one in conditions}) == 1:
        # Two modes of one place are one condition as far as a law goes.
        return why_no_law(sweeps[:1], names[:1])
    if len({one.iso for one in conditions}) > 1:
        return (
            "No joint fit: strict and paper are two measures of one curve and no places on an "
            "axis; --iso names the one to fit."
        )
    return why_no_law(sweeps, names)


def _shared_anchors(sweeps: Sequence[SweepAnalysis]) -> tuple[AnchorDrift, ...]:
    """Return anchors of one spec, the seed aside, that more than one condition holds.

    This is the same geometry under two names.
    """
    parts = []
    for number, one in enumerate(sweeps):
        curve = one.sweep.curve
        if "spec" in curve:
            parts.append(curve.loc[curve["rho"] == 1].assign(condition=number))
    if not parts:
        return ()
    runs = pd.concat(parts, ignore_index=True)
    found = []
    for _, same in runs.groupby(runs["spec"].map(_without_seed), sort=False):
        held_by = [sweeps[number].means for number in same["condition"].unique()]
        # One spec, one noise: the condition with the most runs knows it best.
        noise = max(held_by, key=lambda means: means.dof).noise
        drift = compare_anchors(same.reset_index(drop=True), noise)
        if len(held_by) > 1 and drift is not None:
            found.append(drift)
    return tuple(found)


def _without_seed(spec: str) -> str:
    return json.dumps({**json.loads(spec), "seed": None}, sort_keys=True)
