"""From runs to one loss per rho, with what is known of its error.

Runs of one seed share their data order and initial values, so the seed's shift is common along rho
and drops out of every difference; noise.py has the model. All that later steps need is here: the
mean at each rho, its covariance, and what every run has beyond its rho and seed.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curve.noise import SweepNoise, sweep_noise
from analysis.curve.residuals import Residuals, residuals_of
from analysis.curve.window_noise import window_covariance


@dataclass(frozen=True)
class RhoMeans:
    """Mean loss at each of R values of rho, relative to the seeds of the sweep."""

    rho: np.ndarray
    """Realised shares, ascending, shape (R,)."""
    loss: np.ndarray
    """Mean validation loss in nats/token, seeds taken out, shape (R,)."""
    unit_cov: np.ndarray
    """Covariance of `loss` for a run noise of one, shape (R, R)."""
    window_cov: np.ndarray
    """Covariance in (nats/token)^2 due to the finite set of validation windows, shape (R, R).

    It measures how differently the rho values do on different windows; zero if not recorded.
    """
    noise: SweepNoise | None
    """Run noise, that of rho = 1 and the seeds' shifts; None if no rho below 1 has two runs."""
    runs: np.ndarray
    """Number of finite runs at each rho, shape (R,)."""
    seeds: int
    """Number of distinct seeds."""
    residuals: Residuals
    """Of every run, in the order of the rows that were given."""
    outliers: np.ndarray
    """Which of the rows lie too far from their fellows for their own noise, shape (n,)."""

    @property
    def sigma(self) -> float:
        """Run noise below rho = 1 in nats/token: how seeds disagree beyond their common shift.

        NaN if nothing measures it.
        """
        return float("nan") if self.noise is None else self.noise.sigma

    @property
    def dof(self) -> int:
        """Degrees of freedom of the noise; 0 if nothing measures it."""
        return 0 if self.noise is None else self.noise.dof

    @property
    def paired(self) -> bool:
        """Whether seeds connect the values of rho."""
        return self.residuals.paired

    @property
    def fit_cov(self) -> np.ndarray:
        """Covariance that forms are fitted with, up to a factor, shape (R, R).

        Means weigh by their runs alone: were a rho = 1 that may be loud given less weight, smooth
        forms would take its loss from its neighbours, and the gain with it.
        """
        return np.diag(1 / self.runs)

    @property
    def cov(self) -> np.ndarray:
        """Full covariance of `loss` in (nats/token)^2, shape (R, R): run noise plus windows."""
        return self.sigma**2 * self.unit_cov + self.window_cov


def rho_means(runs: pd.DataFrame) -> RhoMeans:
    """Reduce the finite runs of a curve to one mean per rho.

    Args:
        runs: columns `rho`, `seed`, `validation_loss` (finite, nats/token) and, if known,
            `window_losses` and `window_tokens`; one row per (rho, seed).
    """
    rho, at_rho = np.unique(runs["rho"].to_numpy(float), return_inverse=True)
    seeds, of_seed = np.unique(runs["seed"].to_numpy(), return_inverse=True)
    loss = runs["validation_loss"].to_numpy(float)
    losses = np.zeros((len(seeds), len(rho)))
    losses[of_seed, at_rho] = loss
    has_run = np.zeros(losses.shape, dtype=bool)
    has_run[of_seed, at_rho] = True
    noise = sweep_noise(losses, has_run, len(rho) - 1 if rho[-1] == 1 else None)

    scale = np.ones(len(loss))
    if noise is not None:
        scale[rho[at_rho] == 1] = noise.kappa_quantiles(np.array(0.5))
    residuals = residuals_of(loss, at_rho, of_seed, scale)
    # Without noise to weigh by, the means are those of least squares.
    unit_cov = residuals.gram_inv[: len(rho), : len(rho)]
    mean_loss = residuals.to_means[: len(rho)] @ loss
    if noise is not None:
        unit_cov, mean_loss = noise.mean_unit_cov, noise.mean_loss
    return RhoMeans(
        rho=rho,
        loss=mean_loss,
        unit_cov=unit_cov,
        window_cov=window_covariance(runs, residuals, len(rho)),
        noise=noise,
        runs=np.bincount(at_rho),
        seeds=len(seeds),
        residuals=residuals,
        outliers=residuals.outliers(),
    )
