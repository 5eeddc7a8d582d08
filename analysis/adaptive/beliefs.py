"""What the laws know of every candidate, and what one more run of it would tell.

Draws of all laws in play give a joint normal distribution of the losses of all cells and of three
targets at the longest length: rho*, the gain, and the contrast that the test for a U judges (the
lower of both ends less the lowest loss). A run is an observation of its cell plus its seed's shift
plus noise; what it leaves of the targets' variances follows from the covariances alone, whatever
its loss will be (linear knowledge gradient; Frazier, Powell & Dayanik, 2009). So a batch is chosen
run by run, each given those before it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from analysis.curve.noise import SweepNoise
from analysis.scaling.raw_law import GRID_POINTS
from analysis.scaling.raw_laws import RawLaws
from analysis.scaling.run_laws import Runs
from engram_sweep.planning.adaptive import Design

TARGETS = ("rho*", "the gain", "the U contrast")
"""What runs are chosen for."""


@dataclass(frozen=True)
class Beliefs:
    """Covariances of M cells, K pairs of length and seed, and the targets, in this order."""

    design: Design
    """The candidates."""
    cov: np.ndarray
    """Covariance, shape (M + K + 3, M + K + 3); losses in nats/token."""
    noise: np.ndarray
    """Variance of a run of every cell beyond its seed's shift, shape (M,)."""

    @property
    def groups(self) -> int:
        """K."""
        return len(self.cov) - len(self.design.cells) - len(TARGETS)

    def group(self, cell: int, seed: int) -> int:
        """Return the row of the shift that a run shares with others of its length and seed."""
        lengths, seeds = self.design.lengths, self.design.seeds
        at = lengths.index(self.design.cells[cell].length) * len(seeds) + seeds.index(seed)
        return len(self.design.cells) + at

    def shares(self, cell: int, seed: int) -> np.ndarray:
        """Return the share of every target's variance that a run would remove, shape (3,)."""
        seen, variance = self._observation(cell, seed)
        targets = slice(-len(TARGETS), None)
        before = np.diag(self.cov)[targets]
        return seen[targets] ** 2 / variance / np.where(before > 0, before, np.inf)

    def after(self, runs: Iterable[tuple[int, int]]) -> "Beliefs":
        """Return what is known once runs, as cells and seeds, are finished too."""
        here = self
        for cell, seed in runs:
            seen, variance = here._observation(cell, seed)
            here = replace(here, cov=here.cov - np.outer(seen, seen) / variance)
        return here

    def seed_for(self, cell: int, taken: set[tuple[int, int]]) -> int | None:
        """Return the seed whose shift is known best of those free at a cell; None if none is."""
        free = [seed for seed in self.design.seeds if (cell, seed) not in taken]
        known = np.diag(self.cov)
        return min(free, key=lambda seed: known[self.group(cell, seed)], default=None)

    def _observation(self, cell: int, seed: int) -> tuple[np.ndarray, float]:
        """Return the covariance of a run's loss with everything, and its own variance."""
        group = self.group(cell, seed)
        seen = self.cov[:, cell] + self.cov[:, group]
        return seen, float(seen[cell] + seen[group] + self.noise[cell])


def beliefs_of(design: Design, laws: RawLaws, noise: SweepNoise, runs: Runs) -> Beliefs:
    """Return what laws that were fitted to runs say of the candidates.

    Args:
        design: the candidates.
        laws: of which some are in play.
        noise: what the runs share.
        runs: the finished ones.
    """
    drawn = [law for draws in laws.draws for law in draws]
    sizes = np.log2([cell.length for cell in design.cells]) - laws.centre
    rhos = np.array([cell.rho for cell in design.cells])
    grid = np.linspace(laws.lowest, 1, GRID_POINTS)
    target = np.full(GRID_POINTS, np.log2(design.lengths[-1]) - laws.centre)
    rows = []
    for law in drawn:
        curve = law.curves(target, grid)
        best = int(curve.argmin())
        weaker = min(curve[0], curve[-1]) - curve[best]
        rows.append([*law.curves(sizes, rhos), grid[best], curve[-1] - curve[best], weaker])
    joint = np.cov(np.array(rows).T)

    # The shift of a seed is the better known the more runs it has; that the same runs tell of the
    # curve is left out.
    shift2, sigma2 = noise.shift_sd**2, noise.sigma**2
    shifts = []
    for length in design.lengths:
        for seed in design.seeds:
            here = (runs.seed == seed) & np.isclose(runs.size, np.log2(length))
            shifts.append(shift2 / (1 + int(here.sum()) * shift2 / max(sigma2, 1e-18)))
    cells, groups = len(design.cells), len(shifts)
    cov = np.zeros((cells + groups + len(TARGETS),) * 2)
    outer = np.r_[0:cells, cells + groups : len(cov)]
    cov[np.ix_(outer, outer)] = joint
    inner = np.arange(cells, cells + groups)
    cov[inner, inner] = shifts
    return Beliefs(
        design=design,
        cov=cov,
        noise=np.where(rhos == 1, noise.anchor_sigma, noise.sigma) ** 2,
    )
