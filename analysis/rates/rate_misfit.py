"""Whether losses over the logarithm of the learning rate are parabolas."""

import numpy as np
from scipy import special


def misfit(
    loss: np.ndarray, octaves: np.ndarray, rho: np.ndarray, seed: np.ndarray
) -> float | None:
    """Return the p-value that means over seeds miss the parabolas by no more than runs scatter.

    An F test of a parabola at every rho and a cubic term that is common (parabolas.py) against a
    mean of its own at every rate, both with a level for every seed and rho, so that what runs of
    one seed share is no error.

    Args:
        loss: nats/token of n runs, shape (n,).
        octaves: log2 of their learning rate over the sweep's own, shape (n,).
        rho: their shares, shape (n,).
        seed: their seeds, shape (n,).

    Returns:
        The p-value; None if no rho has more than three rates, or one seed each.
    """
    at = np.unique(rho, return_inverse=True)[1]
    cells = np.unique(np.stack([at, seed]), axis=1, return_inverse=True)[1].reshape(-1)
    points = np.unique(np.stack([at, octaves]), axis=1, return_inverse=True)[1].reshape(-1)
    levels = np.eye(cells.max() + 1)[cells]
    share = np.eye(at.max() + 1)[at]
    x = octaves[:, None]
    parabolas = np.hstack([levels, share * x, share * x**2, x**3])
    means = np.hstack([levels, np.eye(points.max() + 1)[points]])
    (left, rank), (pure, full) = (_left(columns, loss) for columns in (parabolas, means))
    more, spare = full - rank, len(loss) - full
    if more < 1 or spare < 1 or pure <= 0:
        return None
    return float(special.fdtrc(more, spare, max(left - pure, 0.0) / more / (pure / spare)))


def _left(columns: np.ndarray, loss: np.ndarray) -> tuple[float, int]:
    """Return the residual sum of squares of a least-squares fit, and the rank of its columns."""
    centred = loss - loss.mean()
    found, _, rank, _ = np.linalg.lstsq(columns, centred, rcond=None)
    return float(np.sum((centred - columns @ found) ** 2)), int(rank)
