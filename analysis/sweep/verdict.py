"""One fixed word and one honest sentence."""

from dataclasses import dataclass
from math import ceil

from analysis.curve.readings import Interval
from analysis.sweep.anchor_drift import anchor_drift
from analysis.sweep.control_arms import ARM_NAMES
from analysis.sweep.sweep_analysis import SweepAnalysis

VERDICTS = ("u_supported", "monotone_memory", "monotone_experts", "flat", "not_identified")
MIN_POINTS = 5  # values of rho; fewer cannot place an optimum, whatever their noise
DOUBT = 0.01  # a diagnostic below this is worth a sentence
MANY_SEEDS = 30  # beyond this the advice is not to add seeds


@dataclass(frozen=True)
class Verdict:
    """What may be said.

    Attributes:
        word: one of VERDICTS.
        sentence: the same with numbers, in nats/token.
    """

    word: str
    sentence: str


def margin(study: SweepAnalysis) -> float:
    """Rise at an end below which a curve counts as not turning there, nats/token: 5 delta or a tenth of its height."""
    return max(5 * study.delta, 0.1 * (study.height.value or 0.0))


def judge(study: SweepAnalysis) -> Verdict:
    """Decides the verdict.

    With one seed, or fewer than MIN_POINTS values of rho, nothing is identified. Else, in this
    order: a U where an interior rho beats both ends (utest); flat where the whole curve is surely
    lower than 5 delta; monotone where one end is worse than the other and the curve surely does not
    turn at the other end by more than `margin`; else not identified.
    """
    test, alpha = study.test, study.alpha
    if test is None or len(study.means.rho) < MIN_POINTS:
        word = "not_identified"
    elif test.p_u < alpha:
        word = "u_supported"
    elif (study.height.high or 0.0) < 5 * study.delta:
        word = "flat"
    elif test.p_high_worse < alpha and (study.low_arm.high or 0.0) < margin(study):
        word = "monotone_memory"
    elif test.p_low_worse < alpha and (study.high_arm.high or 0.0) < margin(study):
        word = "monotone_experts"
    else:
        word = "not_identified"
    notes = _notes(study)
    return Verdict(word, " ".join([_SENTENCES[word](study), *notes]))


def _number(value: float | None, digits: int) -> str:
    return "none" if value is None else f"{value:.{digits}f}"


def _with_interval(interval: Interval, digits: int) -> str:
    value = _number(interval.value, digits)
    if interval.low is None and interval.high is None:
        return value
    low = "below the range" if interval.low is None else _number(interval.low, digits)
    return f"{value} [{low}, {_number(interval.high, digits)}]"


def _range(study: SweepAnalysis) -> str:
    return f"rho {study.means.rho[0]:.2f} to {study.means.rho[-1]:.2f}"


def _gain(study: SweepAnalysis) -> str:
    against = "rho = 1 (pure MoE)" if study.has_moe else f"rho = {study.means.rho[-1]:.2f}"
    return f"{_with_interval(study.high_arm, 4)} nats/token below {against}"


def _u(study: SweepAnalysis) -> str:
    near = study.near_optimal
    assert study.test is not None
    return (
        f"A U is supported (p = {study.test.p_u:.2g}): "
        f"the loss is lowest at rho = {_with_interval(study.rho_star, 2)}, {_gain(study)}; "
        f"every rho from {near.low:.2f} to {near.high:.2f} is within {study.delta:g} nats/token of the lowest "
        f"({study.level:.0%} intervals, {study.means.seeds} seeds)."
    )


def _monotone_memory(study: SweepAnalysis) -> str:
    return (
        f"The loss keeps falling towards memory: over {_range(study)} it is lowest at the memory end, {_gain(study)}, "
        f"and a turn there is at most {_number(study.low_arm.high, 4)} nats/token "
        f"({study.level:.0%} intervals, {study.means.seeds} seeds)."
    )


def _monotone_experts(study: SweepAnalysis) -> str:
    return (
        f"The loss keeps falling towards experts: over {_range(study)} it is lowest at the expert end, "
        f"{_with_interval(study.low_arm, 4)} nats/token below the memory end; memory gains at most "
        f"{_number(study.high_arm.high, 4)} nats/token ({study.level:.0%} intervals, {study.means.seeds} seeds)."
    )


def _flat(study: SweepAnalysis) -> str:
    return (
        f"Flat within noise: over {_range(study)} the losses differ by at most {_number(study.height.high, 4)} "
        f"nats/token ({study.level:.0%} limit, {study.means.seeds} seeds)."
    )


def _not_identified(study: SweepAnalysis) -> str:
    lowest = (
        f"the fitted loss is lowest at rho = {_with_interval(study.rho_star, 2)}, {_gain(study)}"
    )
    if study.test is None:
        why = (
            "one seed tells nothing of the noise"
            if study.means.seeds == 1
            else "too few runs share a seed or a rho"
        )
        return f"Not identified: {lowest}, but {why}; add at least 2 seeds at every rho."
    if len(study.means.rho) < MIN_POINTS:
        missing = MIN_POINTS - len(study.means.rho)
        return (
            f"Not identified: {lowest}, but {len(study.means.rho)} values of rho cannot place an optimum; "
            f"add at least {missing} point{'s' if missing > 1 else ''}."
        )
    return (
        f"Not identified: {lowest}, but no interior rho beats both ends beyond noise (p = {study.test.p_u:.2g}, "
        f"{study.level:.0%} intervals, {study.means.seeds} seeds, noise {study.means.sigma:.4f} nats/token); "
        f"{_advice(study)}."
    )


def _advice(study: SweepAnalysis) -> str:
    """How many seeds, or which points, would settle it if the effect is what it looks like."""
    assert study.test is not None
    rho, best = study.means.rho, study.test.best
    middles = [(rho[best - 1] + rho[best]) / 2, (rho[best] + rho[best + 1]) / 2]
    points = "points at rho = " + " and ".join(f"{middle:.2f}" for middle in middles)
    if study.test.seeds_needed > MANY_SEEDS:
        return f"an end as good as this needs over {MANY_SEEDS} seeds to tell apart: add {points} or train longer"
    more = max(1, ceil(study.test.seeds_needed) - study.means.seeds)
    return f"add {more} seed{'s' if more > 1 else ''}, or {points}"


def _notes(study: SweepAnalysis) -> list[str]:
    """Everything a reader must know that the numbers do not show."""
    notes = []
    if len(study.sweep.failed):
        notes.append(
            f"{len(study.sweep.failed)} of {_runs(study)} runs have no loss (failed or diverged)."
        )
    notes += _arms(study)
    if not study.has_moe:
        notes.append("No run at rho = 1, so no gain over pure MoE.")
    outliers = int(study.means.outliers.sum())
    if outliers:
        notes.append(
            f"{outliers} run{'s' if outliers > 1 else ''} marked as outlying, kept in the fit."
        )
    if study.means.seeds > 1 and not study.means.paired:
        notes.append("Seeds do not connect the values of rho, so nothing is paired.")
    if study.curve.chosen.converged is False:
        notes.append("The fit's starts did not agree: read the curve with care.")
    for p, text in (
        (study.diagnostics.misfit, "The curve misses the means by more than the noise"),
        (
            study.diagnostics.seed_tilt,
            "Seeds differ by a slope in rho, so the intervals are too narrow",
        ),
        (
            study.diagnostics.unequal_noise,
            "The noise differs along rho, which the intervals "
            + ("take as equal" if study.means.own_noise is None else "go by"),
        ),
        (study.diagnostics.drift, "Losses drift with the time of training"),
    ):
        if p is not None and p < DOUBT:
            notes.append(f"{text} (p = {p:.2g}).")
    if len(study.sweep.repeats):
        notes.append(
            f"{len(study.sweep.repeats)} runs were trained again elsewhere; the first of each is in the fit."
        )
    drift = anchor_drift(study)
    if drift is not None and drift.p_value is not None and drift.p_value < DOUBT:
        notes.append(f"The anchor drifts: {drift.sentence}")
    return notes


def _arms(study: SweepAnalysis) -> list[str]:
    """What the control arms say of the gain: how much is memory, how much is extra compute."""
    words, parts = [], study.parts
    if parts is not None:
        words.append(
            f"Of the gain at rho = {parts.rho:.2f}, {_with_interval(parts.compute, 4)} is compute that one row gets "
            f"too, {_with_interval(parts.memory, 4)} is memory."
        )
    others = [
        f"{ARM_NAMES[arm.arm]}{f' at rho = {arm.rho:.2f}' if arm.arm == 'over_encoding' else ''} "
        f"{_with_interval(arm.gain_over_moe, 4)}"
        for arm in study.arms
        if arm.gain_over_moe.value is not None and (parts is None or arm.arm != "one_row")
    ]
    if others:
        words.append(f"Gain of other arms over rho = 1: {', '.join(others)}.")
    return words


def _runs(study: SweepAnalysis) -> int:
    return len(study.sweep.curve) + len(study.sweep.arms) + len(study.sweep.failed)


_SENTENCES = {
    "u_supported": _u,
    "monotone_memory": _monotone_memory,
    "monotone_experts": _monotone_experts,
    "flat": _flat,
    "not_identified": _not_identified,
}
