"""Defaults of every analysis, without its imports: the command line prints them in its help."""

LEVEL = 0.9
"""Default coverage of every interval."""
DELTA = 0.001
"""Default of what counts as near-optimal, nats/token.

On the paper's curve 0.1 in rho away from the optimum costs about this much.
"""
