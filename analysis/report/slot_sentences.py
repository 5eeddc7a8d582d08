"""A sweep over table sizes in English: slopes, whether a line holds, arms paired, rows touched."""

import numpy as np

from analysis.curve.readings import Interval
from analysis.levels import percent
from analysis.slots.line_test import MIN_SIZES, REJECTED, LineTest
from analysis.slots.paired_gains import PairedGains
from analysis.slots.slots_analysis import ArmOverSizes, SlotsAnalysis
from analysis.sweep.verdict import DOUBT
from engram_sweep.planning.arms import ARMS

WORDS = ("line", "saturates", "steepens", "flat", "not_tested")
"""What the loss of one arm does over the sizes."""
MOSTLY = 0.5
"""Share of rows ever looked up below which a table is called larger than the text."""


def state_slots(result: SlotsAnalysis) -> list[str]:
    """Return what a sweep over table sizes shows, one sentence or more a line."""
    lines = [_arm(one, result.level) for one in result.arms]
    lines += [_paired(one, result.level) for one in result.paired]
    lines += [line for one in result.arms for line in (_over_moe(one), _touched(one)) if line]
    return lines + _notes(result)


def word(one: ArmOverSizes) -> str:
    """Return what the loss of an arm does, one of `WORDS`."""
    if one.line is None:
        return "not_tested"
    if not one.line.rejected:
        zero = one.slope.low is not None and one.slope.low <= 0 <= (one.slope.high or 0)
        return "flat" if zero else "line"
    first, last = one.line.first_slope.value or 0.0, one.line.last_slope.value or 0.0
    return "saturates" if last > first else "steepens"


def _arm(one: ArmOverSizes, level: float) -> str:
    name, sizes = ARMS[one.arm].label, f"{one.rows[0]:,.0f} to {one.rows[-1]:,.0f} rows per head"
    if len(one.rows) == 1:
        return f"{name}: one table size ({one.rows[0]:,.0f} rows per head) shows no slope."
    return (
        f"{name}: the loss changes by {_number(one.slope, sign='+')} nats/token per doubling of "
        f"the table, {sizes} ({len(one.rows)} sizes, {_count(one.means.seeds, 'seed')}, "
        f"{percent(level)} intervals). {_line(one)}"
    )


def _line(one: ArmOverSizes) -> str:
    test = one.line
    if test is None:
        return f"Whether a line holds is not tested: {_why_untested(one)}."
    found = word(one)
    if found == "flat":
        return f"No slope is seen, and no bend (p = {test.p_bend:.2g})."
    if found == "line":
        words = f"A line in log M is not rejected (p of a bend {test.p_bend:.2g})"
    else:
        verb = "it saturates" if found == "saturates" else "it steepens"
        words = (
            f"A line in log M is rejected (p = {test.p_bend:.2g}), {verb}: the slope is "
            f"{_number(test.first_slope, sign='+')} at the smallest table and "
            f"{_number(test.last_slope, sign='+')} at the largest; {_holds(test)}"
        )
    misfit = ""
    if found == "line" and test.p_misfit < DOUBT:
        misfit = f", but the means miss it by more than noise (p = {test.p_misfit:.2g})"
    return f"{words}{misfit}."


def _holds(test: LineTest) -> str:
    if test.holds is None:
        return "no three neighbouring sizes lie on a line"
    low, high = test.holds
    return (
        f"the widest range in which no bend is seen (p >= {REJECTED:g}) is M = {low:,.0f} to "
        f"{high:,.0f}"
    )


def _why_untested(one: ArmOverSizes) -> str:
    if len(one.rows) < MIN_SIZES:
        return f"{len(one.rows)} table sizes, at least {MIN_SIZES} are needed"
    return "nothing measures the noise, add a seed"


def _paired(one: PairedGains, level: float) -> str:
    name, other = ARMS[one.arm].label, ARMS[one.over].label
    change = (
        f", and its lead changes by {_number(one.slope, sign='+')} per doubling"
        if one.slope.value is not None
        else ""
    )
    return (
        f"{name} over {other} at equal table parameters: {_number(one.mean)} nats/token, mean of "
        f"{_count(len(one.rows), 'size')}{change} ({_count(one.seeds, 'paired seed')}, "
        f"{percent(level)} intervals)."
    )


def _over_moe(one: ArmOverSizes) -> str | None:
    if one.over_moe is None:
        return None
    return (
        f"{ARMS[one.arm].label} with the largest table ({one.over_moe.rows[-1]:,.0f} rows per "
        f"head) over the backbone without one: {_number(one.over_moe.at_size[-1])} nats/token."
    )


def _touched(one: ArmOverSizes) -> str | None:
    """Return how many rows were ever looked up: what a table can hold ends where the text does."""
    rows = one.touched
    if rows is None:
        return None
    words = (
        f"Of the largest table of {ARMS[one.arm].label} {rows.touched[-1]:,.0f} of "
        f"{rows.table_rows[-1]:,.0f} rows ({rows.share[-1]:.0%}) were ever looked up in training"
    )
    small = np.flatnonzero(rows.share < MOSTLY)
    if not len(small):
        return f"{words}."
    return (
        f"{words}; from M = {one.rows[small[0]]:,.0f} on most rows never are, and all that more "
        "rows can do is part n-grams that share one."
    )


def _notes(result: SlotsAnalysis) -> list[str]:
    runs, notes = result.runs, []
    if len(runs.failed):
        total = sum(map(len, (runs.sized, runs.beside, runs.variants, runs.failed)))
        notes.append(f"{len(runs.failed)} of {total} runs have no loss (failed or diverged).")
    outliers = sum(int(one.means.outliers.sum()) for one in result.arms)
    if outliers:
        notes.append(f"{_count(outliers, 'run')} marked as outlying, kept in the fit.")
    if len(runs.repeats):
        notes.append(
            f"{len(runs.repeats)} runs were trained again elsewhere; the first of each counts."
        )
    return notes


def _number(one: Interval, sign: str = "") -> str:
    if one.value is None:
        return "none"
    value = f"{one.value:{sign}.4f}"
    return value if one.low is None else f"{value} [{one.low:{sign}.4f}, {one.high:{sign}.4f}]"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
