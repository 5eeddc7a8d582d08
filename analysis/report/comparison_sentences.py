"""What a comparison of two sweeps shows: one sentence, plain data, a table."""

from typing import Any

import numpy as np
import pandas as pd

from analysis.curve.readings import Interval
from analysis.curve.rounding import number, with_interval
from analysis.levels import percent
from analysis.sweep.comparison import AtRho, Comparison


def state_comparison(found: Comparison, first: str, second: str) -> str:
    """Return how the second sweep differs from the first.

    Args:
        found: the comparison.
        first: what the first sweep is called.
        second: what the second one is called.
    """
    best = _nearest(found, found.first.near_optimal.value)
    end = found.at_rho[-1]
    how = f"paired over {best.seeds} seeds" if found.paired else "runs not paired"
    parts = [_loss(best)]
    if end is not best:
        parts.append(_loss(end))
    overlap = "their near-optimal ranges do not overlap"
    if found.common is not None:
        low, high = found.common
        overlap = f"both are near-optimal from rho = {low:.2f} to {high:.2f}"
    return (
        f"{second} against {first} ({how}, {percent(found.level)} intervals): the loss is "
        f"{', '.join(parts)}; the gain over rho = {end.rho:.3g} is "
        f"{_signed(found.gain, 4, 'larger', 'smaller', 'nats/token')}; rho* is "
        f"{_signed(found.rho_star, 2, 'higher', 'lower')}; {overlap}."
    )


def comparison_json(found: Comparison, first: str, second: str) -> dict[str, Any]:
    """Return the same as plain data; differences are second minus first, losses in nats/token."""
    return {
        "first": first,
        "second": second,
        "sentence": state_comparison(found, first, second),
        "paired": found.paired,
        "level": found.level,
        "rho_star": found.rho_star.as_dict(),
        "gain": found.gain.as_dict(),
        "both_near_optimal": found.common and {"from": found.common[0], "to": found.common[1]},
        "at_rho": [
            {
                "rho": one.rho,
                "seeds": one.seeds,
                "first": one.losses[0],
                "second": one.losses[1],
                "difference": one.difference.as_dict(),
                "gain_difference": one.gain_difference.as_dict(),
            }
            for one in found.at_rho
        ],
    }


def comparison_table(found: Comparison, first: str, second: str) -> pd.DataFrame:
    """Return one row per common rho; differences are second minus first, nats/token."""
    end = f"rho = {found.at_rho[-1].rho:.3g}"
    return pd.DataFrame(
        [
            {
                "rho": one.rho,
                "common seeds": one.seeds,
                f"loss, {first}": one.losses[0],
                f"loss, {second}": one.losses[1],
                "difference": one.difference.value,
                "from": one.difference.low,
                "to": one.difference.high,
                f"gain over {end}, difference": one.gain_difference.value,
                "gain from": one.gain_difference.low,
                "gain to": one.gain_difference.high,
            }
            for one in found.at_rho
        ]
    )


def _nearest(found: Comparison, rho: float) -> AtRho:
    places = np.array([one.rho for one in found.at_rho])
    return found.at_rho[int(np.abs(places - rho).argmin())]


def _loss(one: AtRho) -> str:
    return f"{_signed(one.difference, 4, 'higher', 'lower', 'nats/token')} at rho = {one.rho:.3g}"


def _signed(one: Interval, digits: int, more: str, less: str, unit: str = "") -> str:
    """Return a difference as a positive number with a word for its direction.

    If the interval holds 0 the sign is kept and the words say so.
    """
    if one.value is None:
        return "not known"
    space = f" {unit}" if unit else ""
    if one.low is None or one.high is None:
        direction = more if one.value >= 0 else less
        return f"{number(abs(one.value), digits)}{space} {direction} (no interval)"
    if one.low <= 0 <= one.high:
        return f"not told apart ({with_interval(one, digits)}{space})"
    if one.value < 0:
        one, more = Interval(-one.value, -one.high, -one.low), less
    return f"{with_interval(one, digits)}{space} {more}"
