"""Several sweeps with a known truth: the paper's curve, moved along the axes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.simulation.sweeps import (
    PAPER_BEST,
    PAPER_END,
    PAPER_LOWEST,
    TRUTHS,
    Noise,
    Truth,
    simulate,
)


@dataclass(frozen=True)
class AxesTruth:
    """rho*, linear in log2 of each axis, and the gain, a power of it."""

    origin: Mapping[str, float]
    """Value of each axis where rho* and gain are those below."""
    rho_star: float = 0.7
    """Share of the lowest loss there."""
    gain: float = 0.014
    """Loss at rho = 1 minus the lowest there, nats/token."""
    rho_slope: Mapping[str, float] = field(default_factory=dict)
    """Change of rho* per doubling, by axis."""
    gain_exponent: Mapping[str, float] = field(default_factory=dict)
    """Exponent of the gain, by axis: at -1 it halves per doubling."""
    rho_scatter: float = 0.0
    """Standard deviation of conditions around that law, in rho."""
    gain_scatter: float = 0.0
    """The same of the gain, nats/token."""

    def at(self, axes: Mapping[str, float]) -> tuple[float, float]:
        """Return the law's rho* and gain at values of the axes."""
        moved = {axis: np.log2(value / self.origin[axis]) for axis, value in axes.items()}
        rho_star = self.rho_star + sum(
            slope * moved[axis] for axis, slope in self.rho_slope.items()
        )
        powers = sum(power * moved[axis] for axis, power in self.gain_exponent.items())
        return float(rho_star), float(self.gain * 2**powers)


def curve_with(rho_star: float, gain: float) -> Truth:
    """Return the paper's curve with optimum and gain moved in rho ** p, which keeps both ends.

    Args:
        rho_star: between 0 and 1, ends left out.
        gain: not negative, nats/token.
    """
    power = np.log(PAPER_BEST) / np.log(rho_star)
    paper, height = TRUTHS["paper"].loss, gain / (PAPER_END - PAPER_LOWEST)
    return Truth(
        f"rho* {rho_star:g}, gain {gain:g}",
        lambda rho: PAPER_LOWEST + height * (paper(np.asarray(rho) ** power) - PAPER_LOWEST),
        has_u=gain > 0,
    )


def simulate_axes(
    truth: AxesTruth,
    places: Sequence[Mapping[str, float]],
    rho: np.ndarray,
    seeds: int,
    noise: Noise,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return a table of several conditions, with a column per axis.

    Args:
        truth: what is true along the axes.
        places: values of the axes, one mapping per condition.
        rho: shares to train at, the same everywhere, shape (R,).
        seeds: seeds per rho.
        noise: what blurs each sweep.
        rng: where the noise comes from.
    """
    tables = []
    for axes in places:
        rho_star, gain = truth.at(axes)
        rho_star += truth.rho_scatter * rng.standard_normal()
        gain += truth.gain_scatter * rng.standard_normal()
        curve = curve_with(float(np.clip(rho_star, 0.05, 0.95)), max(gain, 0.0))
        tables.append(simulate(curve, rho, seeds, noise, rng).assign(**axes))
    return pd.concat(tables, ignore_index=True)
