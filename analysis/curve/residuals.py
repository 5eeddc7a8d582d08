"""What every run has beyond its rho and its seed, in units of its own noise.

For tests of single runs and of trends: seed effects are fixed here, so that a trend that lies along
seeds is not taken for one within them.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse, special

OUTLIER_P = 0.05
"""Family-wise level of marking: the chance that a clean sweep has any run marked."""


@dataclass(frozen=True)
class Residuals:
    """Residuals of n runs after least squares weighted by their noise, with p effects."""

    raw: np.ndarray
    """Residual of every run, nats/token, shape (n,)."""
    scale: np.ndarray
    """Noise of every run relative to that below rho = 1, shape (n,)."""
    dof: int
    """Degrees of freedom left: n less p."""
    paired: bool
    """Whether seed effects were taken out (False if seeds do not connect the rho values)."""
    design: sparse.csr_array
    """Rho and seed effects in each row over its scale, shape (n, p); sparse: ten thousand runs
    have hundreds."""
    gram_inv: np.ndarray
    """Inverse of design.T @ design, shape (p, p)."""

    @property
    def scaled(self) -> np.ndarray:
        """Residual of every run over its scale, nats/token, shape (n,)."""
        return self.raw / self.scale

    @property
    def variance(self) -> float:
        """Mean square of the scaled residuals, (nats/token)^2; NaN without degrees of freedom."""
        return float(self.scaled @ self.scaled / self.dof) if self.dof > 0 else float("nan")

    @property
    def to_means(self) -> np.ndarray:
        """Matrix from values per run over its scale to the effect of each rho, shape (p, n)."""
        return self.gram_inv @ self.design.T

    def of(self, columns: np.ndarray) -> np.ndarray:
        """Take rho and seed effects out of columns of values per run over its scale.

        Shape (n, k) -> (n, k).
        """
        # From the right, so that no matrix of rows by rows is ever made: for 10,000 runs it would
        # take a gigabyte.
        return columns - self.design @ (self.gram_inv @ (self.design.T @ columns))

    def outliers(self) -> np.ndarray:
        """Mark runs with an improbable externally studentised residual, Bonferroni over the sweep.

        Returns:
            Which runs lie too far from their fellows for their own noise, shape (n,).
        """
        if self.dof < 2:
            return np.zeros(len(self.raw), dtype=bool)
        # The share of its own noise that each residual keeps. A run that alone fixes a parameter
        # has no residual of its own and can never be marked.
        kept = 1 - self.design.multiply(self.design @ self.gram_inv).sum(axis=1)
        squares = np.where(kept > 1e-9, self.scaled**2 / np.maximum(kept, 1e-9), 0.0)
        # Externally: each residual is compared with the noise of all others.
        others = np.maximum(self.scaled @ self.scaled - squares, 1e-300) / (self.dof - 1)
        p = 2 * special.stdtr(self.dof - 1, -np.sqrt(squares / others))
        return p * len(self.raw) < OUTLIER_P


def residuals_of(
    loss: np.ndarray, at_rho: np.ndarray, of_seed: np.ndarray, scale: np.ndarray
) -> Residuals:
    """Take rho and seed effects out of losses by weighted least squares.

    Args:
        loss: nats/token, shape (n,).
        at_rho: index of the rho of every run, shape (n,).
        of_seed: index of its seed, shape (n,).
        scale: its noise relative to others, shape (n,).
    """
    points, seeds = at_rho.max() + 1, of_seed.max() + 1
    # One column for each rho, and seed effects that sum to zero: the mean at rho is then the mean
    # over all seeds of the sweep.
    weigh = sparse.diags_array(1 / scale)
    design = sparse.csr_array(weigh @ sparse.csr_array(np.eye(points))[at_rho])
    contrasts = np.vstack([np.eye(seeds - 1), -np.ones((1, seeds - 1))])
    with_seeds = sparse.csr_array(
        sparse.hstack([design, weigh @ sparse.csr_array(contrasts)[of_seed]])
    )
    gram = (with_seeds.T @ with_seeds).toarray()
    # Without full rank a seed effect cannot be separated from a rho effect, so none is taken out.
    paired = seeds > 1 and np.linalg.matrix_rank(gram, hermitian=True) == len(gram)
    if paired:
        design = with_seeds
    else:
        gram = gram[:points, :points]
    found = Residuals(
        raw=np.zeros(len(loss)),
        scale=scale,
        dof=len(loss) - len(gram),
        paired=bool(paired),
        design=design,
        gram_inv=np.linalg.inv(gram),
    )
    return replace(found, raw=found.of(loss / scale) * scale)
