"""Truths along training length, for sweeps that choose their runs: shaped like the published data.

The laws are those that `engram-sweep fit` finds in results/published/tiny-axes.parquet and
tiny.parquet together (raw_law.py, one of each family).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.scaling.raw_law import FAMILIES, RawLaw
from analysis.simulation.conditions import curve_with
from analysis.simulation.sweeps import Noise
from analysis.simulation.worlds import TINY

LENGTHS = (5.0, 10.0, 20.0, 48.0)
"""Training tokens per activated parameter; the curve is judged at the longest."""
CENTRE = 4.637
"""log2 of the length at which the laws' heights are."""
GRID = np.linspace(0, 1, 2001)

LossAt = Callable[[float, np.ndarray], np.ndarray]
"""Nats/token at a length and at shares."""


@dataclass(frozen=True)
class AdaptiveWorld:
    """A truth over length and rho, and a noise."""

    name: str
    """What it is called in tables."""
    loss: LossAt
    """Nats/token."""
    noise: Noise = TINY
    """What blurs runs: `run`, `anchor` and `seed`, whose shifts differ between lengths."""
    is_flat: bool = False
    """Whether every rho does equally well."""

    def truth(self, length: float) -> tuple[float, float]:
        """Return rho* and the gain over rho = 1, nats/token."""
        losses = self.loss(length, GRID)
        best = int(losses.argmin())
        return float(GRID[best]), float(losses[-1] - losses[best])


def _law(family: int, theta: list[float], heights: list[float]) -> LossAt:
    law = RawLaw(FAMILIES[family], np.array(theta), np.array(heights), 0.0, 0, None)
    return lambda length, rho: law.curves(np.asarray(np.log2(length) - CENTRE), np.asarray(rho))


_EXPONENTIAL = _law(0, [0.484, 1.762, 1.264, 1.764, 2.298], [0.910, 0.349, 0.00857, 0.0546])
_SATURATING = _law(
    1, [0.508, 1.480, 1.274, 1.702, -0.135, 2.882, 0.627], [0.929, 0.328, 0.01006, 0.0544]
)
_OFFSET = _law(
    2, [0.503, 1.489, 1.251, -0.510, 4.0, -2.129, 1.923], [0.924, 0.333, 0.01028, 0.0552]
)


def _flat(length: float, rho: np.ndarray) -> np.ndarray:
    """Return what training takes off every model alike."""
    return 0.91 + 0.35 * (length / 2**CENTRE) ** -0.484 + 0 * np.asarray(rho)


def _warped(length: float, rho: np.ndarray) -> np.ndarray:
    """Return a curve outside the laws: the paper's, its optimum moving by 0.1 per doubling."""
    doublings = float(np.log2(length / LENGTHS[-1]))
    curve = curve_with(0.65 + 0.1 * doublings, 0.023 * 2 ** (-1.2 * doublings))
    return _flat(length, rho) + curve.loss(np.asarray(rho)) - curve.loss(np.array(1.0))


def _linear_gain(length: float, rho: np.ndarray) -> np.ndarray:
    """Return the same with an optimum that stands still and a gain that falls by equal steps."""
    doublings = float(np.log2(length / LENGTHS[-1]))
    curve = curve_with(0.65, 0.023 - 0.02 * doublings)
    return _flat(length, rho) + curve.loss(np.asarray(rho)) - curve.loss(np.array(1.0))


_LOUD = Noise(run=TINY.run, seed=TINY.seed, anchor=4.5)

ADAPTIVE_WORLDS = {
    world.name: world
    for world in (
        AdaptiveWorld("exponential", _EXPONENTIAL),
        AdaptiveWorld("saturating power", _SATURATING),
        AdaptiveWorld("offset power", _OFFSET),
        AdaptiveWorld("exponential, anchor x4.5", _EXPONENTIAL, _LOUD),
        AdaptiveWorld("warped, moving", _warped),
        AdaptiveWorld("warped, gain linear", _linear_gain),
        AdaptiveWorld("flat", _flat, is_flat=True),
    )
}
"""Every one by its name."""
