"""A joint analysis as sentences and as plain data."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.curve.readings import Interval
from analysis.report.numbers import as_json
from analysis.runs.conditions import AXES
from analysis.scaling.axes import Axes
from analysis.scaling.joint import JointAnalysis
from analysis.scaling.law import OptimumAndGain, ScalingFit
from analysis.sweep.verdict import DOUBT
from engram_sweep.errors import UserError
from engram_sweep.planning.axes import AXES as ALL_AXES
from engram_sweep.planning.axes import record_axes

ALIASES = {axis.alias: axis.key for axis in record_axes() if axis.alias}


def parse_place(text: str) -> dict[str, float]:
    """`C=6e20,total_over_active=10` as values by axis.

    Raises:
        UserError: it is something else.
    """
    place: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        axis = ALIASES.get(name.strip(), name.strip())
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if axis not in AXES or not 0 < number < np.inf or axis in place:
            raise UserError(
                f"--at {text}: expected AXIS=NUMBER, with C or {', '.join(AXES)}, each once; found {part!r}"
            )
        place[axis] = number
    return place


def state_joint(joint: JointAnalysis) -> list[str]:
    """Return what the conditions show together; the first sentence gives the reason if nothing."""
    law = joint.scaling
    lines = [_slope(law, axis) for axis in law.axes.names] if law else [joint.reason or ""]
    if law:
        if not law.axes.names:
            lines.append(
                "No axis varies by enough to tell its effect; the law is one rho* and one gain for all conditions."
            )
        lines += _silent(law.axes)
        lines += _tests(law)
    lines += [
        f"The anchor drifts: {one.sentence}" for one in joint.anchors if (one.p_value or 1) < DOUBT
    ]
    lines += [f"Left out: {line}." for line in joint.left_out]
    return lines


def prediction_sentence(scaling: ScalingFit, place: Mapping[str, float]) -> str:
    """Return what to expect at values of the axes.

    Raises:
        UserError: the values lie off what the conditions span.
    """
    position = scaling.axes.place(place)
    reading, beyond = scaling.predict(position), scaling.axes.beyond(position)
    where = ", ".join(f"{axis} {value:g}" for axis, value in place.items())
    far = f" ({beyond:.1f} doublings beyond what was trained)" if beyond > 0.05 else ""
    return (
        f"At {where}{far}: rho* {_number(reading.rho_star, 2)}, gain over rho = 1 {_number(reading.gain_over_moe, 4)} "
        f"nats/token ({scaling.level:.0%} intervals for a new condition)."
    )


def joint_json(joint: JointAnalysis, places: list[dict[str, float]]) -> dict[str, Any]:
    """Return the `--json` object of several conditions; losses and gains in nats/token.

    Args:
        joint: the analysis.
        places: where predictions are wanted, values by axis.

    Raises:
        UserError: a place lies off what the conditions span.
    """
    return {
        "sentence": " ".join(state_joint(joint)),
        "conditions": [
            {"condition": name, "scale": one.scale or None, "axes": one.axes, **as_json(study)}
            for name, one, study in zip(joint.labels, joint.conditions, joint.studies, strict=True)
        ],
        "left_out": list(joint.left_out),
        "joint": None if joint.scaling is None else _law_json(joint.scaling, places),
        "anchors": [
            {"batches": one.batches, "runs": one.runs, "seeds": one.seeds, "difference": one.difference,
             "p_value": one.p_value, "changed": list(one.changed)}
            for one in joint.anchors
        ],
    }  # fmt: skip


def _law_json(law: ScalingFit, places: list[dict[str, float]]) -> dict[str, Any]:
    predictions = []
    for place in places:
        position = law.axes.place(place)
        predictions.append(
            {"at": place, **_both(law.predict(position)), "beyond": law.axes.beyond(position)}
        )
    return {
        "axes": {
            name: {"low": float(2**low), "high": float(2**high), "per_doubling": _both(law.slopes[name])}
            for name, low, high in zip(
                law.axes.names, law.axes.positions.min(axis=0), law.axes.positions.max(axis=0), strict=True
            )
        },
        "not_identified": law.axes.silent,
        "spare_conditions": law.spare,
        "p_law": dict(zip(("rho_star", "gain_over_moe"), law.p_law, strict=True)),
        "scatter": dict(zip(("rho_star", "gain_over_moe"), law.scatter, strict=True)),
        "at_conditions": [{"condition": n, **_both(r)} for n, r in zip(law.labels, law.at_conditions, strict=True)],
        "held_out": [
            {"condition": name, "predicted": _both(one.predicted), "rho_star_error": one.error[0],
             "gain_error": one.error[1]}
            for name, one in zip(law.labels, law.held_out, strict=False)
        ],
        "predictions": predictions,
        "level": law.level,
    }  # fmt: skip


def _both(reading: OptimumAndGain) -> dict[str, Any]:
    return {
        "rho_star": reading.rho_star.as_dict(),
        "gain_over_moe": reading.gain_over_moe.as_dict(),
    }


def _number(one: Interval, digits: int, sign: str = "") -> str:
    value = f"{one.value:{sign}.{digits}f}"
    return (
        value
        if one.low is None
        else f"{value} [{one.low:{sign}.{digits}f}, {one.high:{sign}.{digits}f}]"
    )


def _slope(law: ScalingFit, axis: str) -> str:
    values = 2 ** law.axes.positions[:, law.axes.names.index(axis)]
    count = len({f"{value:.2g}" for value in values})
    unit = f" {ALL_AXES[axis].unit}" if ALL_AXES[axis].unit else ""
    bend = "; two values tell no bend" if count == 2 else ""
    reading = law.slopes[axis]
    return (
        f"Per doubling of {axis} ({values.min():.3g} to {values.max():.3g}{unit}, {count} values{bend}) rho* moves by "
        f"{_number(reading.rho_star, 3, '+')} and the gain by {_number(reading.gain_over_moe, 4, '+')} nats/token "
        f"({law.level:.0%} intervals)."
    )


def _silent(axes: Axes) -> list[str]:
    lines = []
    for axis, why in axes.silent.items():
        effect = "" if why.startswith("moves with") else ": its effect is not identified"
        lines.append(f"{axis} {why}{effect}.")
    return lines


def _tests(law: ScalingFit) -> list[str]:
    if law.spare == 0:
        return ["As many conditions as the law has parameters: nothing tests it."]
    lines = []
    for quantity, p, scatter in zip(("rho*", "the gain"), law.p_law, law.scatter, strict=True):
        if p is not None and p < DOUBT:
            lines.append(
                f"Conditions miss the law of {quantity} by more than noise (p = {p:.2g}), by {scatter:.2g} beyond it; "
                f"{law.spare} spare condition{'s' if law.spare > 1 else ''}."
            )
    if law.held_out:
        rho_star, gain = np.sqrt(np.mean(np.square([one.error for one in law.held_out]), axis=0))
        lines.append(
            f"Held out one at a time, {len(law.held_out)} conditions are missed by {rho_star:.2f} in rho* and by "
            f"{gain:.4f} nats/token in the gain (root mean square)."
        )
    else:
        lines.append("Too few conditions to hold one out.")
    return lines
