"""From runs to one loss per rho: pairing over seeds, noise, covariance, outliers.

The model is loss[rho, seed] = L(rho) + seed effect + run noise. Runs of one seed share their data
order and initial values, so the seed effect is common along rho and drops out of every difference.
All that later steps need is here: the seed-adjusted mean at each rho and its covariance.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse, special

OUTLIER_P = 0.05
"""Family-wise level of marking: the chance that a clean sweep has any run marked."""


@dataclass(frozen=True)
class RhoMeans:
    """Seed-adjusted mean loss at each of R values of rho, with what is known of its error.

    n is the number of runs, p the number of rho and seed effects.
    """

    rho: np.ndarray
    """Realised shares, ascending, shape (R,)."""
    loss: np.ndarray
    """Seed-adjusted mean validation loss in nats/token, shape (R,)."""
    unit_cov: np.ndarray
    """Covariance of `loss` for a run noise of one, shape (R, R)."""
    window_cov: np.ndarray
    """Covariance in (nats/token)^2 due to the finite set of validation windows, shape (R, R).

    It measures how differently the rho values do on different windows; zero if not recorded.
    """
    sigma: float
    """Run noise in nats/token: how seeds disagree beyond their common shift.

    NaN if a single seed leaves nothing to estimate it from.
    """
    dof: int
    """Degrees of freedom behind `sigma`."""
    runs: np.ndarray
    """Number of finite runs at each rho, shape (R,)."""
    seeds: int
    """Number of distinct seeds."""
    paired: bool
    """Whether seed effects were taken out (False if seeds do not connect the rho values)."""
    residuals: np.ndarray
    """Residual of every run (nats/token), in the order of the rows that were given, shape (n,)."""
    design: sparse.csr_array
    """Rho and seed effects in each row, shape (n, p); sparse: ten thousand runs have hundreds."""
    gram_inv: np.ndarray
    """Inverse of design.T @ design, shape (p, p)."""
    outliers: np.ndarray
    """Which of the rows lie too far from their fellows, shape (n,)."""
    own_noise: np.ndarray | None = None
    """Run noise of each rho in nats/token, shape (R,), if `with_own_noise` gave each its own."""

    @property
    def cov(self) -> np.ndarray:
        """Full covariance of `loss` in (nats/token)^2, shape (R, R): run noise plus windows."""
        return self.sigma**2 * self.unit_cov + self.window_cov

    def residuals_of(self, columns: np.ndarray) -> np.ndarray:
        """Take rho and seed effects out of columns of values per row, shape (n, k) -> (n, k)."""
        return _residuals(columns, self.design, self.gram_inv)


def rho_means(runs: pd.DataFrame) -> RhoMeans:
    """Reduce the finite runs of a curve to seed-adjusted means, by least squares.

    Args:
        runs: columns `rho`, `seed`, `validation_loss` (finite, nats/token) and, if known,
            `window_losses` and `window_tokens`; one row per (rho, seed).

    Returns:
        The means, their unit covariance, the noise and the marked outliers.
    """
    rho, at_rho = np.unique(runs["rho"].to_numpy(float), return_inverse=True)
    seeds, of_seed = np.unique(runs["seed"].to_numpy(), return_inverse=True)
    loss = runs["validation_loss"].to_numpy(float)

    # One column for each rho, and seed effects that sum to zero: the mean at rho is then the mean
    # over all seeds of the sweep.
    design = sparse.csr_array(np.eye(len(rho)))[at_rho]
    contrasts = np.vstack([np.eye(len(seeds) - 1), -np.ones((1, len(seeds) - 1))])
    with_seeds = sparse.csr_array(sparse.hstack([design, sparse.csr_array(contrasts)[of_seed]]))
    gram = (with_seeds.T @ with_seeds).toarray()
    # Without full rank a seed effect cannot be separated from a rho effect, so none is taken out.
    paired = len(seeds) > 1 and np.linalg.matrix_rank(gram, hermitian=True) == len(gram)
    if paired:
        design = with_seeds
    else:
        gram = gram[: len(rho), : len(rho)]

    gram_inv = np.linalg.inv(gram)
    to_means = (gram_inv @ design.T)[: len(rho)]
    residuals = _residuals(loss, design, gram_inv)
    dof = len(loss) - len(gram)
    sigma = float(np.sqrt(residuals @ residuals / dof)) if dof > 0 else float("nan")
    unit_cov = gram_inv[: len(rho), : len(rho)]
    return RhoMeans(
        rho=rho,
        loss=to_means @ loss,
        unit_cov=unit_cov,
        window_cov=_window_cov(runs, to_means, design, gram_inv, unit_cov, dof),
        sigma=sigma,
        dof=dof,
        runs=np.bincount(at_rho),
        seeds=len(seeds),
        paired=bool(paired),
        residuals=residuals,
        design=design,
        gram_inv=gram_inv,
        outliers=_outliers(residuals, _leftover(design, gram_inv), dof),
    )


def with_own_noise(means: RhoMeans, at_rho: np.ndarray) -> RhoMeans:
    """Give every rho its own run noise.

    `unit_cov` follows the noise, and `dof` falls to what the fewest runs leave. Half of the rho
    share the median noise: few runs can make one look quiet, and it would then rule the fit.

    Args:
        means: with at least two runs at every rho.
        at_rho: rho of every run, in the order of `means.residuals`, shape (n,).
    """
    at = np.searchsorted(means.rho, at_rho)
    # Every residual keeps a share of its own noise only, so squares are divided by that share.
    leftover = _leftover(means.design, means.gram_inv)
    squares = np.bincount(at, means.residuals**2) / np.bincount(at, leftover)
    # The median of losses without noise is zero.
    floor = max(float(np.median(squares)), 0.01 * means.sigma**2)
    own = np.sqrt(np.maximum(squares, floor))
    to_means = (means.gram_inv @ means.design.T)[: len(means.rho)]
    unit_cov = (to_means * (own[at] / means.sigma) ** 2) @ to_means.T
    return replace(means, unit_cov=unit_cov, dof=int(means.runs.min()) - 1, own_noise=own)


def _leftover(design: sparse.csr_array, gram_inv: np.ndarray) -> np.ndarray:
    """Return the share of its own noise that each run's residual keeps, shape (n,)."""
    return 1 - design.multiply(design @ gram_inv).sum(axis=1)


def _residuals(columns: np.ndarray, design: sparse.csr_array, gram_inv: np.ndarray) -> np.ndarray:
    # From the right, so that no matrix of rows by rows is ever made: for 10,000 runs it would take
    # a gigabyte.
    return columns - design @ (gram_inv @ (design.T @ columns))


def _outliers(residuals: np.ndarray, leftover: np.ndarray, dof: int) -> np.ndarray:
    """Mark runs with an improbable externally studentised residual, Bonferroni over the sweep."""
    if dof < 2:
        return np.zeros(len(residuals), dtype=bool)
    # A run that alone fixes a parameter has no residual of its own and can never be marked.
    scaled = np.where(leftover > 1e-9, residuals**2 / np.maximum(leftover, 1e-9), 0.0)
    # Externally: each residual is compared with the noise of all others.
    others = np.maximum(residuals @ residuals - scaled, 1e-300) / (dof - 1)
    p = 2 * special.stdtr(dof - 1, -np.sqrt(scaled / others))
    return p * len(residuals) < OUTLIER_P


def _window_cov(
    runs: pd.DataFrame,
    to_means: np.ndarray,
    design: sparse.csr_array,
    gram_inv: np.ndarray,
    unit_cov: np.ndarray,
    dof: int,
) -> np.ndarray:
    """Return the covariance of the means due to the finite set of windows, shape (R, R).

    Every run reads the same windows, so a window that is hard for all cancels. What is left is how
    rho and window interact. Run noise shows up per window too; its share is already in sigma and is
    taken out here. Zero if losses per window are not known.
    """
    losses = _window_losses(runs)
    if dof <= 0 or losses is None:
        return np.zeros_like(unit_cov)
    windows = losses.shape[1]
    weight = _window_weights(runs, windows)

    # How much each rho differs on each window from its own mean.
    spread = losses - (losses @ weight)[:, None]
    of_rho = to_means @ spread
    # A shift common to all rho moves no difference.
    of_rho = of_rho - of_rho.mean(axis=0)
    # The covariance of a weighted mean over windows, with the usual correction for their number.
    weight2 = weight**2 * windows / (windows - 1)
    total = (of_rho * weight2) @ of_rho.T
    # Take out the share of the run noise, which is what rho and seed leave within every window.
    noise = float(weight2 @ (_residuals(spread, design, gram_inv) ** 2).sum(axis=0)) / dof
    centre = np.eye(len(unit_cov)) - 1 / len(unit_cov)
    # The difference of two estimates may have negative directions; a covariance has none.
    values, vectors = np.linalg.eigh(total - noise * centre @ unit_cov @ centre)
    return (vectors * np.maximum(values, 0)) @ vectors.T


def _window_losses(runs: pd.DataFrame) -> np.ndarray | None:
    """Return the loss of every run on every window, shape (n, W).

    None if the runs do not have at least two finite losses each, on the same number of windows.
    """
    if "window_losses" not in runs:
        return None
    lists = list(runs["window_losses"])
    if any(np.ndim(one) != 1 for one in lists):
        return None
    lengths = {len(one) for one in lists}
    if len(lengths) != 1 or min(lengths) < 2:
        return None
    losses = np.array([np.asarray(one, dtype=float) for one in lists])
    return losses if np.isfinite(losses).all() else None


def _window_weights(runs: pd.DataFrame, windows: int) -> np.ndarray:
    """Return each window's share of all tokens, shape (W,); equal if tokens are not known."""
    weight = np.ones(windows)
    if "window_tokens" in runs:
        tokens = np.asarray(runs["window_tokens"].iloc[0], dtype=float)
        if tokens.shape == (windows,) and (tokens > 0).all():
            weight = tokens
    return weight / weight.sum()
