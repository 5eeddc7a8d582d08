"""A small adaptive sweep with a known truth, for the tests of this folder."""

from __future__ import annotations

import numpy as np

from analysis.simulation.adaptive import adaptive_design, trainer
from analysis.simulation.adaptive_worlds import ADAPTIVE_WORLDS
from engram_sweep.planning.adaptive import Design, Finished, pilot

DESIGN = adaptive_design(0.25)


def cell(rho: float, length: float, design: Design = DESIGN) -> int:
    """The number of a cell."""
    return next(i for i, one in enumerate(design.cells) if one.rho == rho and one.length == length)


def piloted(name: str = "exponential", seed: int = 0) -> list[Finished]:
    """The pilot of a world, trained."""
    train = trainer(ADAPTIVE_WORLDS[name], DESIGN, np.random.default_rng(seed))
    return [train(*place) for place in pilot(DESIGN)]
