"""Sweeps with a known truth: the test bed of every estimator, and a way to plan seeds and points.

A simulated run is truth(rho) + seed effect (shared along rho: pairing) + run noise + per-window
noise.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize

from analysis.curve.readings import CurveReadings, read_curves

LossOf = Callable[[np.ndarray], np.ndarray]
PAPER_LOWEST, PAPER_END, PAPER_BEST, PAPER_TIE = 1.7109, 1.7248, 0.78, 0.4


@dataclass(frozen=True)
class Truth:
    """A curve that is known."""

    name: str
    """What it is called in tables."""
    loss: LossOf
    """Nats/token at shares rho, any shape."""
    has_u: bool
    """Whether an interior rho truly beats both ends of the range."""
    one_optimum: bool = True
    """Whether a single rho has the lowest loss."""

    def read(self, low: float, high: float, delta: float) -> CurveReadings:
        """Return the true quantities on [low, high]; every field has shape (1,)."""
        grid = np.linspace(low, high, 4001)
        return read_curves(grid, self.loss(grid)[:, None], delta)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return optimize.root_scalar(function, bracket=(low, high)).root


def _power_laws() -> LossOf:
    """Return two power laws through the paper's facts (3.1).

    L(1) = L(0.4) = 1.7248, lowest 1.7109 at 0.78.
    """

    def sides(rho: np.ndarray, offset: float) -> tuple[np.ndarray, np.ndarray]:
        return (rho + 0.1) ** -0.3, 1 / (1 - rho + offset)

    def weight(offset: float) -> float:
        """Return the weight of the memory side, so that the slope vanishes at the optimum."""
        return 0.3 * (PAPER_BEST + 0.1) ** -1.3 * (1 - PAPER_BEST + offset) ** 2

    def curve(rho: np.ndarray, offset: float) -> np.ndarray:
        experts, memory = sides(rho, offset)
        return experts + weight(offset) * memory

    def untied(offset: float) -> float:
        ends = curve(np.array([1.0, PAPER_TIE]), offset)
        return float(ends[0] - ends[1])

    offset = _root(untied, 0.01, 1.0)
    lowest, end = curve(np.array([PAPER_BEST, 1.0]), offset)
    scale = (PAPER_END - PAPER_LOWEST) / (end - lowest)
    return lambda rho: PAPER_LOWEST + scale * (curve(rho, offset) - lowest)


def _warped_parabola() -> LossOf:
    """Return a parabola in rho^p through the same facts: not in the default form's family."""
    power = _root(lambda p: 2 * PAPER_BEST**p - PAPER_TIE**p - 1, 1.0, 4.0)
    best = PAPER_BEST**power
    return lambda rho: (
        PAPER_LOWEST + (PAPER_END - PAPER_LOWEST) * ((rho**power - best) / (1 - best)) ** 2
    )


def _two_parabolas(rho: np.ndarray) -> np.ndarray:
    """Return half a parabola on each side of the optimum; its curvature jumps there."""
    width = np.where(rho < PAPER_BEST, PAPER_BEST - PAPER_TIE, 1 - PAPER_BEST)
    return PAPER_LOWEST + (PAPER_END - PAPER_LOWEST) * ((rho - PAPER_BEST) / width) ** 2


TRUTHS = {
    truth.name: truth
    for truth in (
        Truth("paper", _power_laws(), has_u=True),
        Truth("symmetric", lambda rho: 1.71 + 0.05 * (rho - 0.6) ** 2, has_u=True),
        Truth("edge_experts", lambda rho: 1.71 + 0.02 * (1 / (rho + 0.2) - 1 / 1.2), has_u=False),
        Truth("edge_memory", lambda rho: 1.71 + 0.03 * rho**2, has_u=False),
        Truth(
            "plateau",
            lambda rho: 1.71 + 0.12 * np.maximum(rho - 0.6, 0) ** 2,
            has_u=False,
            one_optimum=False,
        ),
        Truth(
            "flat", lambda rho: np.full_like(rho, 1.71, dtype=float), has_u=False, one_optimum=False
        ),
        Truth("warped", _warped_parabola(), has_u=True),
        Truth("two_parabolas", _two_parabolas, has_u=True),
    )
}


@dataclass(frozen=True)
class Noise:
    """What blurs a sweep; every size in nats/token."""

    run: float = 0.002
    """Standard deviation of a run beyond its seed's shift."""
    anchor: float = 1.0
    """How many times as much runs at rho = 1 scatter."""
    heavy_tails: bool = False
    """Whether runs scatter by a Student-t of 3 degrees in place of a normal distribution."""
    seed: float = 0.005
    """Standard deviation of the shift that all runs of a seed share."""
    seed_tilt: float = 0.0
    """Standard deviation of a slope in rho that all runs of a seed share (breaks the model)."""
    windows: int = 0
    """Validation windows per run; 0 leaves the per-window columns out."""
    window: float = 0.3
    """Standard deviation of a window's difficulty."""
    window_tilt: float = 0.01
    """Standard deviation of a window's slope in rho: the finite validation set."""
    window_run: float = 0.01
    """Standard deviation of one run on one window beyond all that."""
    outliers: float = 0.0
    """Share of runs shifted up by `outlier_size`."""
    outlier_size: float = 0.02
    """That shift."""
    diverged: float = 0.0
    """Share of runs that end without a loss."""
    drift: float = 0.0
    """Shift from one run to the next in order of training (a changing machine or library)."""


def simulate(
    truth: Truth,
    rho: np.ndarray,
    seeds: int,
    noise: Noise,
    rng: np.random.Generator,
    anchor_seeds: int = 0,
) -> pd.DataFrame:
    """Return a table of runs whose truth is known, one row per (rho, seed).

    Args:
        truth: the curve.
        rho: shares to train at, shape (R,).
        seeds: seeds per rho, the same ones at each.
        noise: what is added.
        rng: where the noise comes from.
        anchor_seeds: further seeds at rho = 1 only.
    """
    shares = np.append(np.tile(np.asarray(rho, dtype=float), seeds), np.ones(anchor_seeds))
    seed = np.append(np.repeat(np.arange(seeds), len(rho)), seeds + np.arange(anchor_seeds))
    centred = shares - np.mean(rho)
    # What blurs a run: itself, its seed (a shift and a slope in rho), bad luck, drift with time.
    own = rng.standard_normal(len(shares))
    if noise.heavy_tails:
        own /= np.sqrt(rng.chisquare(3, len(shares)))  # a t of 3 degrees over its SD
    losses = truth.loss(shares) + noise.run * np.where(shares == 1, noise.anchor, 1.0) * own
    losses += noise.seed * rng.standard_normal(seeds + anchor_seeds)[seed]
    losses += noise.seed_tilt * rng.standard_normal(seeds + anchor_seeds)[seed] * centred
    losses += noise.outlier_size * (rng.random(len(shares)) < noise.outliers)
    losses += noise.drift * np.arange(len(shares))
    table = pd.DataFrame(
        {
            "arm": np.where(shares == 1, "moe", "engram"),
            "rho": shares,
            "seed": seed,
            "outcome": "ok",
        }
    )
    # Every run reads the same windows, so a window's difficulty and slope are shared by all.
    if noise.windows:
        tilt = noise.window_tilt * rng.standard_normal(noise.windows)
        per_window = losses[:, None] + noise.window_run * rng.standard_normal(
            (len(shares), noise.windows)
        )
        per_window += noise.window * rng.standard_normal(noise.windows) + np.outer(centred, tilt)
        losses = per_window.mean(axis=1)
        table["window_losses"] = list(per_window)
        table["window_tokens"] = [np.full(noise.windows, 1024, dtype=np.int32)] * len(shares)
    # A diverged run stays in the table, without a loss.
    gone = rng.random(len(shares)) < noise.diverged
    table["validation_loss"] = np.where(gone, np.nan, losses)
    table.loc[gone, "outcome"] = "diverged"
    return table
