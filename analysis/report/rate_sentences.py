"""Tuned learning rates in English and as a table: the best of each rho, and whose gain it is."""

from dataclasses import asdict
from typing import Any

import pandas as pd

from analysis.curve.readings import Interval
from analysis.curve.rounding import with_interval
from analysis.levels import percent
from analysis.rates.tuned_rates import BestRate, TunedRates
from analysis.sweep.verdict import DOUBT


def rates_json(result: TunedRates) -> dict[str, Any]:
    """Return everything as plain data, null if a number does not exist; losses in nats/token."""
    return {**asdict(result), "sentences": state_rates(result)}


def rates_table(result: TunedRates) -> pd.DataFrame:
    """Return one row per rho, in words: its best rate, its losses, regret and gain over rho = 1."""
    rate = f"{result.one_rate:g}"
    columns = ["rho", "runs", "rates", "best rate", f"loss at {rate}", "loss at the best"]
    columns += ["regret", f"below rho = 1 at {rate}", "below rho = 1, each at its best"]
    rows = [
        [
            f"{one.rho:g}",
            str(one.runs),
            str(len(one.rates)),
            _rate(one),
            with_interval(one.at_one_rate, 4),
            with_interval(one.tuned, 4),
            with_interval(one.regret, 4),
            "" if one.rho == 1 else _or_nothing(one.gain),
            "" if one.rho == 1 else _or_nothing(one.tuned_gain),
        ]
        for one in reversed(result.each)
    ]
    return pd.DataFrame(rows, columns=columns)


def state_rates(result: TunedRates) -> list[str]:
    """Return what the rates show, one sentence or more a line."""
    lines = [line for one in reversed(result.each) for line in _edges(one)]
    if gain := _gain(result):
        lines.append(gain)
    if result.tuned_low_arm.value is not None and result.hybrid is not None:
        lines.append(
            f"At tuned rates rho = {result.each[0].rho:g} lies "
            f"{with_interval(result.tuned_low_arm, 4)} nats/token above rho = "
            f"{result.hybrid.rho:g}."
        )
    if result.misfit is not None and result.misfit < DOUBT:
        lines.append(
            f"Losses are no parabolas in the logarithm of the rate (p = {result.misfit:.2g}): "
            "best rates and regrets are rough."
        )
    for rho in result.skipped:
        lines.append(f"rho = {rho:g} has too few rates near its best for a parabola.")
    lines.append(
        f"({percent(result.level)} intervals, {result.seeds} seeds, run noise {result.noise:.2g}; "
        "regret: loss at the sweep's one rate minus loss at the best one)"
    )
    return lines


def _edges(one: BestRate) -> list[str]:
    """Return what the search did not reach, or could not."""
    lines = []
    if one.at_edge and one.best.value is not None:
        side = "smallest" if one.best.value <= one.rates[0] else "largest"
        lines.append(
            f"rho = {one.rho:g}: the best rate is the {side} that was fitted, "
            f"{one.best.value:.2g}; a better one may lie beyond."
        )
    if one.diverged:
        shown = ", ".join(f"{rate:.2g}" for rate in one.diverged)
        lines.append(f"rho = {one.rho:g}: runs diverged at {shown}.")
    if one.left_out:
        shown = ", ".join(f"{rate:.2g}" for rate in one.left_out)
        lines.append(
            f"rho = {one.rho:g}: {shown} {'is' if len(one.left_out) == 1 else 'are'} too far from "
            "the best to be fitted."
        )
    return lines


def _gain(result: TunedRates) -> str | None:
    """Return whether the gain at one rate is explained by rho = 1 being badly tuned."""
    moe, hybrid = result.moe, result.hybrid
    if moe is None or hybrid is None:
        return None
    tuned, by_tuning = hybrid.tuned_gain, hybrid.gain_by_tuning
    numbers = (
        f"rho = {hybrid.rho:g} lies {with_interval(hybrid.gain, 4)} nats/token below rho = 1 at "
        f"the one rate {result.one_rate:g}, {with_interval(tuned, 4)} with each at its best; "
        f"the first minus the second is {with_interval(by_tuning, 4)}"
    )
    if (hybrid.gain.low or 0.0) <= 0:
        return f"No gain over rho = 1 is shown at the one rate: {numbers}."
    if (tuned.low or 0.0) > 0:
        return f"The gain is not explained by rho = 1 being badly tuned: {numbers}."
    if (by_tuning.low or 0.0) > 0:
        return f"The gain may be nothing but rho = 1 being badly tuned: {numbers}."
    return f"Whether rho = 1 being badly tuned explains the gain is not decided: {numbers}."


def _rate(one: BestRate) -> str:
    """Return the best rate with its limits; a limit at an end of the rates is marked."""
    low, high = one.best.low or 0.0, one.best.high or 0.0
    below = "<= " if low <= one.rates[0] * (1 + 1e-9) else ""
    above = ">= " if high >= one.rates[-1] * (1 - 1e-9) else ""
    return f"{one.best.value:.2g} [{below}{low:.2g}, {above}{high:.2g}]"


def _or_nothing(one: Interval) -> str:
    return "" if one.value is None else with_interval(one, 4)
