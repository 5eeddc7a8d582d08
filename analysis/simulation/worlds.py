"""The designs and noises of the coverage study beyond the plain one: what real sweeps look like."""

from dataclasses import dataclass, field, replace

import numpy as np

from analysis.simulation.hard_truths import HARD_TRUTHS
from analysis.simulation.sweeps import TRUTHS, Noise, Truth

SIX = np.array([0.0, 0.25, 0.5, 0.75, 0.9, 1.0])
"""rho of the quick tiny sweep."""
NINE = np.array([0.0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0])
"""rho of the full one."""
TINY = Noise(run=0.0035, seed=0.0021)
"""Noise of the published tiny sweep below rho = 1 (docs/lab-notebook.md)."""


@dataclass(frozen=True)
class World:
    """A truth, a design and a noise."""

    name: str
    """What it is called in tables."""
    truth: Truth
    """The curve."""
    rho: np.ndarray = field(default_factory=lambda: NINE)
    """Shares to train at, shape (R,)."""
    seeds: int = 3
    """Seeds at every rho."""
    noise: Noise = field(default_factory=Noise)
    """What blurs a sweep."""
    anchor_seeds: int = 0
    """Further seeds at rho = 1 only."""


def _loud(ratio: float) -> Noise:
    return replace(TINY, anchor=ratio)


_CLIFF, _KAPLAN, _FLAT = HARD_TRUTHS["cliff"], HARD_TRUTHS["kaplan"], TRUTHS["flat"]
_KINK = HARD_TRUTHS["left_kink"]

WORLDS = {
    world.name: world
    for world in (
        World("cliff, anchor x2", _CLIFF, noise=_loud(2)),
        World("cliff, anchor x5", _CLIFF, noise=_loud(5)),
        World("cliff, anchor x5, 5 seeds", _CLIFF, seeds=5, noise=_loud(5)),
        World("kaplan, anchor x5", _KAPLAN, noise=Noise(anchor=5)),
        World("kaplan", _KAPLAN),
        World("kaplan 1.2/.15", HARD_TRUTHS["kaplan_sharp"]),
        World("left kink", _KINK),
        World("left kink, 5 seeds", _KINK, seeds=5),
        World("6 x 2 + 3, left kink", _KINK, SIX, 2, anchor_seeds=3),
        World("9 x 3, symmetric", TRUTHS["symmetric"]),
        World("double dip", HARD_TRUTHS["double_dip"]),
        World("t3 noise", _KAPLAN, noise=Noise(heavy_tails=True)),
        World("missing cells", _KAPLAN, noise=Noise(diverged=0.1)),
        World("6 x 2, kaplan", _KAPLAN, SIX, 2),
        World("6 x 2 + 3, kaplan", _KAPLAN, SIX, 2, anchor_seeds=3),
        World("6 x 2, cliff, anchor x5", _CLIFF, SIX, 2, _loud(5)),
        World("6 x 2 + 3, cliff, anchor x5", _CLIFF, SIX, 2, _loud(5), 3),
        World("6 x 2, flat, anchor x5", _FLAT, SIX, 2, _loud(5)),
        World("6 x 2 + 3, flat, anchor x5", _FLAT, SIX, 2, _loud(5), 3),
        World("flat, anchor x5", _FLAT, noise=_loud(5)),
    )
}
"""Every one by its name."""
