"""Curves made to break an interval: outside the forms' families, or barely inside their bounds."""

import numpy as np

from analysis.simulation.sweeps import PAPER_BEST, PAPER_LOWEST, LossOf, Truth

GAIN = 0.0139
"""Loss at rho = 1 minus the lowest of most of them, nats/token: that of the paper."""


def _kaplan(experts: float, memory: float, offset: float) -> LossOf:
    """Return (rho + offset)^-experts + b (1 - rho + offset)^-memory, lowest at the paper's rho*.

    Args:
        experts: exponent of the experts' side.
        memory: exponent of the memory's side.
        offset: what keeps both finite; the smaller, the sharper the ends.
    """
    left, right = PAPER_BEST + offset, 1 - PAPER_BEST + offset
    weight = experts * left ** (-experts - 1) / (memory * right ** (-memory - 1))

    def curve(rho: np.ndarray) -> np.ndarray:
        return (rho + offset) ** -experts + weight * (1 - rho + offset) ** -memory

    lowest, end = curve(np.array([PAPER_BEST, 1.0]))
    return lambda rho: PAPER_LOWEST + GAIN * (curve(rho) - lowest) / (end - lowest)


def _cliff(rho: np.ndarray) -> np.ndarray:
    """Return a plateau with a cliff at rho = 1 and a lower one at 0, shaped like tiny's table."""
    slope = 0.006 * (rho - 0.65) ** 2
    return 1.22 + slope + 0.045 * np.exp(-(1 - rho) / 0.06) + 0.02 * np.exp(-rho / 0.06)


def _left_kink(rho: np.ndarray) -> np.ndarray:
    """Return straight lines: steep down to 0.3, nearly level, and up to rho = 1 from 0.78."""
    points = [0.0, 0.3, PAPER_BEST, 1.0]
    return np.interp(rho, points, PAPER_LOWEST + np.array([0.03, 0.0, 0.0025, GAIN]))


def _double_dip(rho: np.ndarray) -> np.ndarray:
    """Return two dips a quarter of the range apart, one lower by 0.0025 nats/token."""
    first = (GAIN - 0.0025) * np.exp(-(((rho - 0.45) / 0.1) ** 2))
    second = GAIN * np.exp(-(((rho - 0.8) / 0.1) ** 2))
    return PAPER_LOWEST + GAIN - first - second


HARD_TRUTHS = {
    truth.name: truth
    for truth in (
        Truth("kaplan", _kaplan(0.5, 0.3, 0.05), has_u=True),
        Truth("kaplan_sharp", _kaplan(1.2, 0.15, 0.02), has_u=True),
        Truth("cliff", _cliff, has_u=True),
        Truth("left_kink", _left_kink, has_u=True),
        Truth("double_dip", _double_dip, has_u=True),
    )
}
"""Every one by its name."""
