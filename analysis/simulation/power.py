"""The power of a design: how often seeds and points distinguish a gain from none, by simulation.

Simulated sweeps whose truth is the paper's curve, scaled to the gain in question, go through the
tests that the report uses; the power is the share of them that find a rho better than the largest
one. The report claims a gain only then (with few points its interval may reach zero even so). No
curve is fitted for it: a design can be tried in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analysis.curve.bootstrap import draw_errors
from analysis.curve.fit import fit_curve
from analysis.curve.means import rho_means
from analysis.curve.noise import SweepNoise
from analysis.curve.readings import read_curves
from analysis.simulation.sweeps import TRUTHS, Noise, Truth, simulate
from analysis.sweep.next_run import NextRun, next_run
from analysis.sweep.sweep_analysis import DELTA, LEVEL
from analysis.sweep.u_shape_test import u_shape_test
from analysis.threads import one_thread

DRAWS = 500
"""Draws of the error behind one simulated p-value: enough for a yes or no."""
MANY = 10_000
"""Degrees of freedom of a noise that is known."""
WANTED = 0.9
"""The power that a design should reach."""


def scaled(truth: Truth, gain: float) -> Truth:
    """Return the truth stretched to `gain` nats/token between rho = 1 and its lowest; flat at 0."""
    lowest = float(np.min(truth.loss(np.linspace(0, 1, 4001))))
    full = float(truth.loss(np.array([1.0]))[0]) - lowest
    return replace(
        truth,
        name=f"{truth.name} x {gain / full:.3f}",
        loss=lambda rho: lowest + (truth.loss(rho) - lowest) * gain / full,
        has_u=truth.has_u and gain > 0,
    )


@dataclass(frozen=True)
class Power:
    """How often simulated sweeps claim what is true."""

    gain: float
    """Share that find a gain over the largest rho; at a true gain of 0 the rate of false
    findings."""
    u: float
    """Share in which a U is supported."""


@one_thread
def power(
    gain: float,
    rho: np.ndarray,
    seeds: int,
    noise: Noise,
    trials: int,
    level: float = LEVEL,
    anchor_seeds: int = 0,
) -> Power:
    """Simulate sweeps of one design and count what they claim.

    Args:
        gain: the true gain, nats/token.
        rho: shares to train at, shape (R,), R at least 3.
        seeds: seeds per rho, at least 2.
        noise: what blurs a sweep.
        trials: simulated sweeps.
        level: coverage of the report's intervals; a test's level is what they leave out on one
            side.
        anchor_seeds: further seeds at rho = 1 only.
    """
    truth, alpha = scaled(TRUTHS["paper"], gain), (1 - level) / 2
    claims = np.zeros(2)
    for trial in range(trials):
        rng = np.random.default_rng([trial, seeds, len(rho)])
        means = rho_means(simulate(truth, rho, seeds, noise, rng, anchor_seeds))
        test = u_shape_test(means, draw_errors(means, DRAWS, rng), alpha)
        claims += (test.p_gain < alpha, test.p_u < alpha)
    return Power(*(claims / trials).tolist())


@one_thread
def worth_of_next_run(
    gain: float, rho: np.ndarray, seeds: int, noise: Noise, anchor_seeds: int = 0
) -> NextRun | None:
    """Return where one more run than the design has would tell most of the gain.

    Args:
        gain: the true gain, nats/token.
        rho: shares to train at, ascending up to 1, shape (R,).
        seeds: seeds per rho.
        noise: what blurs a sweep; its sizes are taken as known.
        anchor_seeds: further seeds at rho = 1 only.
    """
    rng = np.random.default_rng(len(rho))
    still = Noise(run=0, seed=0)
    means = rho_means(simulate(scaled(TRUTHS["paper"], gain), rho, seeds, still, rng, anchor_seeds))
    unit_cov = np.diag(np.where(means.rho == 1, noise.anchor**2, 1.0) / means.runs)
    known = SweepNoise(
        kappa=np.array([noise.anchor]),
        shift=np.array([noise.seed / noise.run]),
        weight=np.ones(1),
        variance=np.array([noise.run**2]),
        dof=MANY,
        loss=means.loss[None],
        unit_cov=unit_cov[None],
    )
    means = replace(means, noise=known, unit_cov=unit_cov)
    curve = fit_curve(means)
    errors = draw_errors(means, DRAWS, rng)
    gains = read_curves(curve.grid, curve.refit(means.loss[:, None] + errors), DELTA).gain
    return next_run(means, errors, gains)
