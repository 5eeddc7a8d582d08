"""The verdict in English: what was decided, with numbers and everything that puts it in doubt."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curve.rounding import ends_of_range, number, with_interval
from analysis.levels import percent
from analysis.report.smoothness_sentences import smoothness_notes
from analysis.sweep.next_run import MAX_MORE_RUNS
from analysis.sweep.sweep_analysis import SweepAnalysis
from analysis.sweep.u_shape_test import UShapeTest
from analysis.sweep.verdict import DOUBT, MIN_POINTS_TO_JUDGE, Verdict, doubts, judge
from engram_sweep.planning.arms import ARMS, ONE_ROW

LABELS = {
    "u_supported": "A U is supported",
    "monotone_memory": "The loss keeps falling towards memory",
    "monotone_experts": "The loss keeps falling towards experts",
    "flat": "Flat within noise",
    "not_identified": "Not identified",
}
"""What a reader is shown in place of a verdict's word."""


@dataclass(frozen=True)
class StatedVerdict:
    """A verdict and what a reader is shown of it."""

    word: str
    """One of `analysis.sweep.verdict.VERDICTS`."""
    headline: str
    """The same with numbers, in nats/token: the near-optimal range first, then rho*, the gain."""
    notes: tuple[str, ...]
    """What the control arms show, and everything that puts the verdict in doubt."""

    @property
    def label(self) -> str:
        """The word, as a reader is shown it."""
        return LABELS[self.word]

    @property
    def sentence(self) -> str:
        """All of it."""
        return " ".join([self.headline, *self.notes])


def state_verdict(result: SweepAnalysis) -> StatedVerdict:
    """Judge a sweep and put the verdict into words."""
    verdict = judge(result)
    label = LABELS[verdict.word]
    if verdict.lacks is not None:
        headline = f"{label}: {_plateau(result)}, {_gain(result)}, but {_lacking(verdict, result)}."
    else:
        headline = f"{label}{_SENTENCES[verdict.word](result)}"
    return StatedVerdict(verdict.word, headline, tuple(_notes(result)))


def summary(result: SweepAnalysis) -> str:
    """Return the verdict, the near-optimal range and the gain in short lines, for a figure."""
    within = f"within {result.delta:g} nats/token of the lowest from {_ends(result)}"
    lines = [LABELS[judge(result).word], within]
    if result.gain_over_moe.value is not None:
        gain = with_interval(result.gain_over_moe, 4)
        lines.append(f"lowest {gain} nats/token below ρ = 1 ({percent(result.level)} intervals)")
    return "\n".join(lines)


# ---- Numbers and intervals


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _range(result: SweepAnalysis) -> str:
    return f"rho {result.means.rho[0]:.2f} to {result.means.rho[-1]:.2f}"


def _seeds(result: SweepAnalysis) -> str:
    """Return the seeds of most points, and those that rho = 1 has beyond them."""
    runs = result.means.runs
    common = int(np.median(runs))
    more = int(runs[-1]) - common if result.has_moe else 0
    words = _count(common, "seed")
    return f"{words} and {more} more at rho = 1" if more > 0 else words


def _intervals_and_seeds(result: SweepAnalysis) -> str:
    return f"{percent(result.level)} intervals, {_seeds(result)}"


def _gain(result: SweepAnalysis) -> str:
    against = "rho = 1 (pure MoE)" if result.has_moe else f"rho = {result.means.rho[-1]:.2f}"
    return f"{with_interval(result.high_arm, 4)} nats/token below {against}"


def _test(result: SweepAnalysis) -> UShapeTest:
    """Return the tests of a sweep that has some: its verdict was decided by them."""
    assert result.test is not None
    return result.test


# ---- One sentence for every verdict


def _ends(result: SweepAnalysis) -> str:
    near = result.near_optimal
    ends = ends_of_range(near.low, near.low_interval, near.high, near.high_interval)
    return " to ".join(
        shown if between is None else f"{shown} [{', '.join(between)}]" for shown, between in ends
    )


def _plateau(result: SweepAnalysis) -> str:
    """Return the near-optimal range, and rho* after it: a flat range holds it anywhere."""
    return (
        f"the fitted loss is within {result.delta:g} nats/token of its lowest from "
        f"rho = {_ends(result)}, lowest at {with_interval(result.rho_star, 2)}"
    )


def _u(result: SweepAnalysis) -> str:
    return (
        f" (p = {_test(result).p_u:.2g}; one rho inside beats both ends, nothing is said of a "
        f"single dip): {_plateau(result)}, {_gain(result)} ({_intervals_and_seeds(result)})."
    )


def _monotone_memory(result: SweepAnalysis) -> str:
    return (
        f": over {_range(result)} {_plateau(result)}, {_gain(result)}, and a turn at the memory "
        f"end is at most {number(result.low_arm.high, 4)} nats/token "
        f"({_intervals_and_seeds(result)})."
    )


def _monotone_experts(result: SweepAnalysis) -> str:
    return (
        f": over {_range(result)} {_plateau(result)}, {with_interval(result.low_arm, 4)} "
        f"nats/token below the memory end; memory gains at most {number(result.high_arm.high, 4)} "
        f"nats/token ({_intervals_and_seeds(result)})."
    )


def _flat(result: SweepAnalysis) -> str:
    return (
        f": over {_range(result)} the losses differ by at most "
        f"{number(result.height.high, 4)} nats/token ({percent(result.level)} limit, "
        f"{_seeds(result)})."
    )


_SENTENCES = {
    "u_supported": _u,
    "monotone_memory": _monotone_memory,
    "monotone_experts": _monotone_experts,
    "flat": _flat,
}
"""What follows the label of each verdict that identifies something."""


# ---- Why nothing is identified, and what would help


def _lacks_seeds(result: SweepAnalysis) -> str:
    if result.means.seeds == 1:
        why = "one seed tells nothing of the noise"
    else:
        why = "too few runs share a seed or a rho"
    return f"{why}; add a seed at every rho, and some more at rho = 1"


def _lacks_points(result: SweepAnalysis) -> str:
    points = len(result.means.rho)
    return (
        f"{points} values of rho cannot place an optimum; "
        f"add at least {_count(MIN_POINTS_TO_JUDGE - points, 'point')}"
    )


def _lacks_power(result: SweepAnalysis) -> str:
    return (
        f"no interior rho beats both ends beyond noise (p = {_test(result).p_u:.2g}, "
        f"{_intervals_and_seeds(result)}, noise {result.means.sigma:.4f} nats/token); "
        f"{_advice(result)}"
    )


def _advice(result: SweepAnalysis) -> str:
    """Return which runs, or which points, would settle it if the effect is what it seems."""
    test, rho = _test(result), result.means.rho
    before, best, after = rho[test.best - 1 : test.best + 2]
    points = f"points at rho = {(before + best) / 2:.2f} and {(best + after) / 2:.2f}"
    if test.more is None:
        return (
            f"an end as good as this needs over {MAX_MORE_RUNS} runs to tell apart: "
            f"add {points} or train longer"
        )
    if test.more.place == "anchor":
        return f"add {_count(test.more.count, 'run')} at rho = 1 (sweep.anchor_seeds), or {points}"
    return f"add {_count(test.more.count, 'seed')}, or {points}"


def _lacking(verdict: Verdict, result: SweepAnalysis) -> str:
    """Return the clause of what a verdict lacks."""
    of = {"seeds": _lacks_seeds, "points": _lacks_points, "power": _lacks_power}
    return of[str(verdict.lacks)](result)


# ---- Everything a reader must know that the numbers do not show


def _notes(result: SweepAnalysis) -> list[str]:
    notes = []
    runs = result.sweep
    if len(runs.failed):
        total = sum(map(len, (runs.curve, runs.arms, runs.variants, runs.failed)))
        notes.append(f"{len(runs.failed)} of {total} runs have no loss (failed or diverged).")
    notes += _arms(result)
    if not result.has_moe:
        notes.append("No run at rho = 1, so no gain over pure MoE.")
    if result.anchor_noise.value is not None:
        times = with_interval(result.anchor_noise, 1, at_most=1)
        notes.append(f"Runs at rho = 1 scatter {times} times as much as others.")
    outliers = int(result.means.outliers.sum())
    if outliers:
        notes.append(f"{_count(outliers, 'run')} marked as outlying, kept in the fit.")
    if result.means.seeds > 1 and not result.means.paired:
        notes.append("Seeds do not connect the values of rho, so nothing is paired.")
    if result.curve.chosen.converged is False:
        notes.append("The fit's starts did not agree: read the curve with care.")
    if result.curve.chosen.on_bound:
        notes.append(
            "The fit lies on a bound of its shapes: a sharper bend or a longer tail is not ruled "
            "out."
        )
    notes += smoothness_notes(result) + _doubts(result) + _devices(runs.curve)
    if len(runs.repeats):
        notes.append(
            f"{len(runs.repeats)} runs were trained again elsewhere; "
            "the first of each is in the fit."
        )
    drift = result.anchor_drift
    if drift is not None and drift.p_value is not None and drift.p_value < DOUBT:
        notes.append(f"The anchor drifts: {drift.sentence}")
    return notes


def _devices(runs: pd.DataFrame) -> list[str]:
    """Return a sentence if runs come from several kinds of device, whose rounding differs."""
    if "device" not in runs:
        return []
    kinds = Counter(runs["device"].dropna())
    if len(kinds) < 2:
        return []
    counted = ", ".join(f"{count} on {kind}" for kind, count in kinds.most_common())
    return [f"Runs come from {len(kinds)} kinds of device, which round differently: {counted}."]


def _doubts(result: SweepAnalysis) -> list[str]:
    """Return a sentence for every diagnostic that puts the intervals in doubt."""
    return [f"{_DOUBTS[name]} (p = {p:.2g})." for name, p in doubts(result).items()]


_DOUBTS = {
    "misfit": "The curve misses the means by more than the noise",
    "seed_tilt": "Seeds differ by a slope in rho, so the intervals are too narrow",
    "unequal_noise": "Noise differs along rho beyond that of rho = 1, which the intervals take as "
    "equal",
    "drift": "Losses drift with the time of training",
}
"""The sentence of each diagnostic."""


def _arms(result: SweepAnalysis) -> list[str]:
    """Return what the control arms show of the gain: how much is memory, how much is compute."""
    notes, others = [], []
    parts = result.parts
    if parts is not None:
        notes.append(
            f"Of the gain at rho = {parts.rho:.2f}, {with_interval(parts.compute, 4)} is compute "
            f"that one row gets too, {with_interval(parts.memory, 4)} is memory."
        )
    for arm in result.arms:
        # The gain of one_row is the compute part, if there is one.
        if arm.gain_over_moe.value is None or (parts is not None and arm.arm == ONE_ROW.key):
            continue
        where = f" at rho = {arm.rho:.2f}" if ARMS[arm.arm].fixed_rho is None else ""
        others.append(f"{ARMS[arm.arm].label}{where} {with_interval(arm.gain_over_moe, 4)}")
    if others:
        notes.append(f"Gain of other arms over rho = 1: {', '.join(others)}.")
    return notes
