"""A joint analysis as sentences and as plain data."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.curve.readings import Interval
from analysis.levels import percent
from analysis.report.iso import iso_json, state_iso
from analysis.report.numbers import as_json
from analysis.report.raw_sentences import predict_raw, raw_json, state_raw_laws
from analysis.runs.conditions import AXES
from analysis.scaling.axes import Axes
from analysis.scaling.joint import JointAnalysis
from analysis.scaling.law import OptimumAndGain, ScalingFit
from analysis.scaling.raw_laws import RawLaws
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
                f"--at {text}: expected AXIS=NUMBER, with C or {', '.join(AXES)}, each once; "
                f"got {part!r}"
            )
        place[axis] = number
    return place


def state_joint(joint: JointAnalysis) -> list[str]:
    """Return what the conditions show together: iso, the law or why there is none, doubts."""
    fit = joint.scaling
    lines = [state_iso(joint, one) for one in joint.iso]
    lines += [_slope(fit, axis) for axis in fit.axes.names] if fit else [joint.reason or ""]
    if fit:
        if not fit.axes.names:
            lines.append(
                "No axis varies by enough to tell its effect; the law is one rho* and one gain "
                "for all conditions."
            )
        lines += _silent(fit.axes)
        lines += _tests(fit)
    if joint.raw is not None:
        lines += state_raw_laws(joint.raw)
    lines += [
        f"The anchor drifts: {one.sentence}" for one in joint.anchors if (one.p_value or 1) < DOUBT
    ]
    lines += [f"Left out: {line}." for line in joint.left_out]
    return lines


def prediction_sentence(
    scaling: ScalingFit, place: Mapping[str, float], raw: RawLaws | None = None
) -> str:
    """Return what to expect at values of the axes.

    Args:
        scaling: the law of the readings.
        place: values by axis.
        raw: the laws over all losses, if there are some.

    Raises:
        UserError: the values lie off what the conditions span.
    """
    position = scaling.axes.place(place)
    reading, beyond = scaling.predict(position), scaling.axes.beyond(position)
    where = ", ".join(f"{axis} {value:g}" for axis, value in place.items())
    far = f" ({beyond:.1f} doublings beyond what was trained)" if beyond > 0.05 else ""
    return (
        f"At {where}{far}: rho* {_number(reading.rho_star, 2)}, gain over rho = 1 "
        f"{_number(reading.gain_over_moe, 4)} nats/token ({percent(scaling.level)} intervals for a "
        "new condition)." + ("" if raw is None else predict_raw(raw, float(position[0])))
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
            {
                "condition": name,
                "scale": one.scale or None,
                "axes": one.axes,
                "iso": one.iso,
                **as_json(sweep),
            }
            for name, one, sweep in zip(joint.labels, joint.conditions, joint.sweeps, strict=True)
        ],
        "left_out": list(joint.left_out),
        "raw_law": joint.raw and raw_json(joint.raw),
        "iso": [iso_json(joint, one) for one in joint.iso],
        "joint": None if joint.scaling is None else _law_json(joint.scaling, places),
        "anchors": [
            {
                "batches": one.batches,
                "runs": one.runs,
                "seeds": one.seeds,
                "difference": one.difference,
                "p_value": one.p_value,
                "changed": list(one.changed),
            }
            for one in joint.anchors
        ],
    }


def _law_json(fit: ScalingFit, places: list[dict[str, float]]) -> dict[str, Any]:
    predictions = []
    for place in places:
        position = fit.axes.place(place)
        predictions.append(
            {
                "at": place,
                **_both(fit.predict(position)),
                "beyond": fit.axes.beyond(position),
            }
        )
    return {
        "axes": {
            name: {
                "low": float(2**low),
                "high": float(2**high),
                "per_doubling": {
                    "rho_star": fit.slopes[name].rho_star.as_dict(),
                    "gain_factor": fit.slopes[name].gain_factor.as_dict(),
                },
            }
            for name, low, high in zip(
                fit.axes.names,
                fit.axes.positions.min(axis=0),
                fit.axes.positions.max(axis=0),
                strict=True,
            )
        },
        "not_identified": fit.axes.silent,
        "spare_conditions": fit.spare,
        "p_law": dict(zip(("rho_star", "gain_over_moe"), fit.p_law, strict=True)),
        "scatter": dict(zip(("rho_star", "gain_over_moe"), fit.scatter, strict=True)),
        "at_conditions": [
            {"condition": n, **_both(r)} for n, r in zip(fit.labels, fit.at_conditions, strict=True)
        ],
        "held_out": [
            {
                "condition": name,
                "predicted": _both(one.predicted),
                "rho_star_error": one.error[0],
                "gain_error": one.error[1],
            }
            for name, one in zip(fit.labels, fit.held_out, strict=False)
        ],
        "predictions": predictions,
        "level": fit.level,
    }


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


def _slope(fit: ScalingFit, axis: str) -> str:
    values = 2 ** fit.axes.positions[:, fit.axes.names.index(axis)]
    count = len({f"{value:.2g}" for value in values})
    unit = f" {ALL_AXES[axis].unit}" if ALL_AXES[axis].unit else ""
    bend = "; two values tell no bend" if count == 2 else ""
    reading = fit.slopes[axis]
    return (
        f"Per doubling of {axis} ({values.min():.3g} to {values.max():.3g}{unit}, {count} "
        f"values{bend}) rho* moves by {_number(reading.rho_star, 3, '+')} and the gain becomes "
        f"{_number(reading.gain_factor, 2)} times as large ({percent(fit.level)} intervals)."
    )


def _silent(axes: Axes) -> list[str]:
    lines = []
    for axis, why in axes.silent.items():
        effect = "" if why.startswith("moves with") else ": its effect is not identified"
        lines.append(f"{axis} {why}{effect}.")
    return lines


def _tests(fit: ScalingFit) -> list[str]:
    if fit.spare == 0:
        return ["As many conditions as the law has parameters: nothing tests it."]
    lines = []
    for quantity, p, scatter in zip(("rho*", "the gain"), fit.p_law, fit.scatter, strict=True):
        if p is not None and p < DOUBT:
            lines.append(
                f"Conditions miss the law of {quantity} by more than noise (p = {p:.2g}), by "
                f"{scatter:.2g} beyond it; {fit.spare} spare "
                f"condition{'s' if fit.spare > 1 else ''}."
            )
    if fit.held_out:
        rho_star, gain = np.sqrt(np.mean(np.square([one.error for one in fit.held_out]), axis=0))
        lines.append(
            f"Held out one at a time, {len(fit.held_out)} conditions are missed by "
            f"{rho_star:.2f} in rho* and by {gain:.4f} nats/token in the gain (root mean square)."
        )
    else:
        lines.append("Too few conditions to hold one out.")
    return lines
