"""The finite validation set: windows that suit some rho better than others by chance."""

import numpy as np
import pandas as pd

from analysis.curve.residuals import Residuals


def window_covariance(runs: pd.DataFrame, residuals: Residuals, points: int) -> np.ndarray:
    """Return the covariance of the means due to the finite set of windows, shape (R, R).

    Every run reads the same windows, so a window that is hard for all cancels. What is left is how
    rho and window interact. Run noise shows up per window too; its share is already in sigma and is
    taken out here.

    Args:
        runs: one row per run, with `window_losses` and `window_tokens` if they are known.
        residuals: of the same runs, in the same order.
        points: R, the number of rho.

    Returns:
        (nats/token)^2; zero if losses per window are not known.
    """
    losses = _window_losses(runs)
    if residuals.dof <= 0 or losses is None:
        return np.zeros((points, points))
    windows = losses.shape[1]
    weight = _window_weights(runs, windows)

    # How much each rho differs on each window from its own mean.
    spread = (losses - (losses @ weight)[:, None]) / residuals.scale[:, None]
    of_rho = residuals.to_means[:points] @ spread
    # A shift common to all rho moves no difference.
    of_rho = of_rho - of_rho.mean(axis=0)
    # The covariance of a weighted mean over windows, with the usual correction for their number.
    weight2 = weight**2 * windows / (windows - 1)
    total = (of_rho * weight2) @ of_rho.T
    # Take out the share of the run noise, which is what rho and seed leave within every window.
    noise = float(weight2 @ (residuals.of(spread) ** 2).sum(axis=0)) / residuals.dof
    centre = np.eye(points) - 1 / points
    unit_cov = residuals.gram_inv[:points, :points]
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
