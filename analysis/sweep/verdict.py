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


def margin(result: SweepAnalysis) -> float:
    """Return the rise at an end, nats/token, below which a curve counts as not turning there.

    The margin is 5 delta or a tenth of the curve's height, whichever is larger.
    """
    return max(5 * result.delta, 0.1 * (result.height.value or 0.0))


def judge(result: SweepAnalysis) -> Verdict:
    """Decide the verdict.

    With one seed, or fewer than MIN_POINTS_TO_JUDGE values of rho, nothing is identified. Else, in
    this order: a U if an interior rho beats both ends (u_shape_test); flat if the whole curve is
    surely lower than 5 delta; monotone if one end is worse than the other and the curve surely does
    not turn at the other end by more than `margin`; else not identified.
    """
    test, alpha = result.test, result.alpha
    if test is None:
        return Verdict("not_identified", lacks="seeds")
    if len(result.means.rho) < MIN_POINTS_TO_JUDGE:
        return Verdict("not_identified", lacks="points")
    if test.p_u < alpha:
        return Verdict("u_supported")
    if (result.height.high or 0.0) < 5 * result.delta:
        return Verdict("flat")
    if test.p_high_worse < alpha and (result.low_arm.high or 0.0) < margin(result):
        return Verdict("monotone_memory")
    if test.p_low_worse < alpha and (result.high_arm.high or 0.0) < margin(result):
        return Verdict("monotone_experts")
    return Verdict("not_identified", lacks="power")
