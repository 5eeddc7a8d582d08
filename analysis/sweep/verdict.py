"""The verdict on a sweep: one of five words, by fixed rules."""

from dataclasses import dataclass
from typing import Literal

from analysis.sweep.sweep_analysis import SweepAnalysis

VERDICTS = ("u_supported", "monotone_memory", "monotone_experts", "flat", "not_identified")
"""The words of a verdict."""
MIN_POINTS_TO_JUDGE = 5
"""Values of rho; fewer cannot place an optimum, whatever their noise."""
DOUBT = 0.01
"""A diagnostic with a p-value below this is reported beside the verdict."""
DOUBT_NOISE = 0.1
"""The same for unequal noise, which few runs can hardly show and the intervals depend on."""
NEAR_END = 0.25
"""Share of the measured range within which rho* must lie for the loss to be called monotone."""


@dataclass(frozen=True)
class Verdict:
    """The decision on a sweep."""

    word: str
    """One of VERDICTS."""
    lacks: Literal["seeds", "points", "power"] | None = None
    """What is missing if nothing is identified.

    "seeds": nothing measures the noise; "points": fewer than MIN_POINTS_TO_JUDGE values of rho;
    "power": no test or limit decides.
    """


def doubts(result: SweepAnalysis) -> dict[str, float]:
    """Return the p-values of the diagnostics that put the intervals in doubt, by their names."""
    found = vars(result.diagnostics)
    limits = dict.fromkeys(found, DOUBT) | {"unequal_noise": DOUBT_NOISE}
    return {name: p for name, p in found.items() if p is not None and p < limits[name]}


def margin(result: SweepAnalysis) -> float:
    """Return the rise at an end, nats/token, below which a curve counts as not turning there.

    It is 5 delta whatever the curve's height: a tenth of a height of 0.33 would be twice the gain
    that the paper reports.
    """
    return 5 * result.delta


def judge(result: SweepAnalysis) -> Verdict:
    """Decide the verdict.

    With one seed, or fewer than MIN_POINTS_TO_JUDGE values of rho, nothing is identified. Else, in
    this order: a U if an interior rho beats both ends (u_shape_test); flat if the whole curve is
    surely lower than 5 delta; monotone if one end is worse than the other, rho* surely lies within
    NEAR_END of the other end, and the curve surely does not turn there by more than `margin`; else
    not identified.
    """
    test, alpha = result.test, result.alpha
    if test is None:
        return Verdict("not_identified", lacks="seeds")
    if len(result.means.rho) < MIN_POINTS_TO_JUDGE:
        return Verdict("not_identified", lacks="points")
    if test.p_u < alpha:
        return Verdict("u_supported")
    if (result.height.high or 0.0) < margin(result):
        return Verdict("flat")
    low, high = result.means.rho[0], result.means.rho[-1]
    near = NEAR_END * (high - low)
    at_memory = (result.rho_star.high or high) <= low + near
    at_experts = (result.rho_star.low or low) >= high - near
    no_turn_at_memory = (result.low_arm.high or 0.0) < margin(result)
    no_turn_at_experts = (result.high_arm.high or 0.0) < margin(result)
    if test.p_high_worse < alpha and at_memory and no_turn_at_memory:
        return Verdict("monotone_memory")
    if test.p_low_worse < alpha and at_experts and no_turn_at_experts:
        return Verdict("monotone_experts")
    return Verdict("not_identified", lacks="power")
