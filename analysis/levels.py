"""Defaults and limits of every analysis, without its imports: the command line prints them."""

LEVEL = 0.9
"""Default coverage of every interval."""
MAX_LEVEL = 0.999
"""Of two thousand draws, as an interval has them, one lies beyond each of its limits then."""
DELTA = 0.001
"""Default of what counts as near-optimal, nats/token.

On the paper's curve 0.1 in rho away from the optimum costs about this much.
"""
MAX_LOSS = 1e6
"""nats/token; a loss above is none, and sums of such numbers are none either."""


def percent(level: float) -> str:
    """Return a coverage in percent, e.g. "90%" or "99.5%"."""
    return f"{100 * level:g}%"
