"""The analysis of a table of one or several conditions: each by itself, the law of all, the anchors they share."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.runs.conditions import Condition, labels, split_conditions
from analysis.scaling.law import ScalingFit, scaling, why_no_law
from analysis.sweep.anchor_drift import AnchorDrift, compare_anchors
from analysis.sweep.sweep_analysis import DELTA, LEVEL, SweepAnalysis, analyse_sweep
from engram_sweep.errors import UserError


@dataclass(frozen=True)
class JointAnalysis:
    """What a table of several conditions says.

    Attributes:
        conditions: those that could be analysed.
        labels: their names.
        studies: each by itself.
        left_out: one line for each condition that could not.
        scaling: the law of all; None where `reason` says why not.
        reason: why there is no law.
        anchors: what batches of an anchor that several conditions share say.
    """

    conditions: tuple[Condition, ...]
    labels: tuple[str, ...]
    studies: tuple[SweepAnalysis, ...]
    left_out: tuple[str, ...]
    scaling: ScalingFit | None
    reason: str | None
    anchors: tuple[AnchorDrift, ...]

    @property
    def alone(self) -> bool:
        """Whether the table is one sweep of one condition, with nothing to say beside it."""
        return len(self.studies) == 1 and not self.left_out


def analyse(
    table: pd.DataFrame, source: str, level: float = LEVEL, delta: float = DELTA
) -> JointAnalysis:
    """Split a table into conditions and analyse them, by themselves and together.

    Args:
        table: one row per run (table.check_table, conditions.split_conditions).
        source: what to call it in messages.
        level: nominal coverage of every interval.
        delta: what counts as near-optimal, nats/token.

    Raises:
        UserError: no condition can be analysed; one line says why.
    """
    split = split_conditions(table, source)
    if len(split) == 1:
        return joined(split, [analyse_sweep(split[0].runs, source, level, delta)])
    found, studies, refusals = [], [], []
    for condition, name in zip(split, labels(split), strict=True):
        try:
            studies.append(analyse_sweep(condition.runs, f"{source}, {name}", level, delta))
            found.append(condition)
        except UserError as error:
            refusals.append(error)
    if not found:
        raise refusals[0]
    return joined(found, studies, tuple(map(str, refusals)))


def joined(
    conditions: Sequence[Condition],
    studies: Sequence[SweepAnalysis],
    left_out: tuple[str, ...] = (),
) -> JointAnalysis:
    """Return what analysed conditions say together.

    Args:
        conditions: at least one.
        studies: the same, each analysed by itself.
        left_out: one line for each condition that could not be.
    """
    names = labels(conditions)
    reason = why_no_law(studies, names)
    return JointAnalysis(
        conditions=tuple(conditions),
        labels=tuple(names),
        studies=tuple(studies),
        left_out=left_out,
        scaling=scaling(conditions, studies) if reason is None else None,
        reason=reason,
        anchors=_shared_anchors(studies),
    )


def _shared_anchors(studies: Sequence[SweepAnalysis]) -> tuple[AnchorDrift, ...]:
    """Anchors of one spec, the seed aside, that more than one condition holds (the same geometry under two names)."""
    parts = []
    for number, one in enumerate(studies):
        curve = one.sweep.curve
        if "spec" in curve:
            parts.append(curve.loc[curve["rho"] == 1].assign(condition=number))
    if not parts:
        return ()
    runs = pd.concat(parts, ignore_index=True)
    found = []
    for _, same in runs.groupby(runs["spec"].map(_without_seed), sort=False):
        held_by = [studies[number].means for number in same["condition"].unique()]
        dof = sum(max(one.dof, 0) for one in held_by)
        squares = sum(one.sigma**2 * one.dof for one in held_by if one.dof > 0)
        drift = compare_anchors(
            same.reset_index(drop=True), float(np.sqrt(squares / max(dof, 1))), dof
        )
        if len(held_by) > 1 and drift is not None:
            found.append(drift)
    return tuple(found)


def _without_seed(spec: str) -> str:
    return json.dumps({**json.loads(spec), "seed": None}, sort_keys=True)
