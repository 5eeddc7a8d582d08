"""The strict and the paper's curve beside each other: a sentence, plain data, a table."""

from typing import Any

import pandas as pd

from analysis.curve.readings import Interval
from analysis.levels import percent
from analysis.runs.iso_modes import PAPER, STRICT
from analysis.scaling.iso_difference import IsoDifference
from analysis.scaling.joint import JointAnalysis

ISO_NOTE = (
    "Loss of strict minus that of paper, nats/token, paired over common seeds. Both share their "
    "runs at rho = 1."
)


def state_iso(joint: JointAnalysis, one: IsoDifference) -> str:
    """Return how the curves differ, and how much of the step away from rho = 1 that is."""
    widths = "" if one.width_changes is None else f" ({_widths(*one.width_changes)})"
    share = one.at_rho[-1]
    steps = " and ".join(f"{_signed(one.steps[mode])} under {mode}" for mode in (STRICT, PAPER))
    return (
        f"{joint.labels[one.condition]}{widths} minus paper: {_signed(one.mean)} nats/token "
        f"(mean of {one.pairs} pairs of runs at {len(one.rho)} rho below 1). From rho = 1, whose "
        f"runs both share, to {one.rho[-1]:.2f} the loss moves by {steps}: {_signed(share)} of "
        f"strict's step is the shared experts' width ({percent(one.level)} intervals)."
    )


def iso_json(joint: JointAnalysis, one: IsoDifference) -> dict[str, Any]:
    """Return the same as plain data; losses in nats/token, strict minus paper."""
    return {
        "condition": joint.labels[one.condition],
        "difference": one.mean.as_dict(),
        "pairs": one.pairs,
        "at_rho": [
            {"rho": rho, **difference.as_dict()}
            for rho, difference in zip(one.rho, one.at_rho, strict=True)
        ],
        "step_from_moe": {
            "rho": one.rho[-1],
            **{mode: step.as_dict() for mode, step in one.steps.items()},
        },
        "shared_width_changes": one.width_changes,
    }


def iso_table(one: IsoDifference) -> pd.DataFrame:
    """Return one row per rho: the difference with its limits, nats/token."""
    rows = [("all", one.mean), *zip(one.rho, one.at_rho, strict=True)]
    return pd.DataFrame(
        [
            {
                "rho": rho,
                "strict minus paper": reading.value,
                "from": reading.low,
                "to": reading.high,
            }
            for rho, reading in rows
        ]
    )


def _widths(least: float, largest: float) -> str:
    """Return how much wider strict's shared experts are, e.g. from -17 % to -16 %."""
    return f"shared experts {least:+.0%} to {largest:+.0%} against their width at rho = 1"


def _signed(one: Interval) -> str:
    value = f"{one.value:+.4f}"
    return value if one.low is None else f"{value} [{one.low:+.4f}, {one.high:+.4f}]"
