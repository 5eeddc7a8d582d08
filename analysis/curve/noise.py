"""The noise of a sweep: random seeds, and a rho = 1 that may be louder than the rest.

The model is loss[rho, seed] = L(rho) + u[seed] + e[rho, seed] with u ~ N(0, (shift sigma)^2) and
e ~ N(0, sigma^2), but e ~ N(0, (kappa sigma)^2) at rho = 1. Pure MoE may scatter several times as
much as hybrids, and two or three seeds cannot show it: so kappa is not tested but integrated. Its
prior has two parts, an anchor like other runs and one that is several times louder; with few runs
it says how likely each is. Seeds are random (Henderson, 1975),
so that a run of a seed that has no other rho still tells of its rho.

For every pair (kappa, shift) of a grid the means, their covariance and the residual sum of squares
are known in closed form (mixed model equations), and the restricted likelihood (REML, Patterson &
Thompson, 1971) with the priors gives the weight of the pair; sigma^2 follows a scaled inverse
chi-square.
"""

from dataclasses import dataclass, replace

import numpy as np

LOUD_MEDIAN, LOUD_SPREAD = 8.0, 0.7
"""Prior of kappa if the anchor is louder: log kappa is normal around log 8 with this deviation."""
_LOUD = np.linspace(-2.9, 2.9, 24)
KAPPAS = np.append(1.0, LOUD_MEDIAN * np.exp(LOUD_SPREAD * _LOUD))
"""Grid of kappa: an anchor like all other runs, then louder ones, even in their logarithm."""
FEW_ANCHORS = 2
"""Up to so many runs at rho = 1 say next to nothing of kappa."""
QUIET_SHARE, QUIET_SHARE_OF_FEW = 0.6, 0.35
"""Prior probability of kappa = 1 with more than FEW_ANCHORS runs at rho = 1, and with no more.

They are about the largest for which a gain is claimed on a flat curve in no more than some 6 % of
sweeps, whatever kappa is (docs/lab-notebook.md). That the best weights depend on the design is
usual of tests with a parameter that is not in question (Elliott, Mueller & Watson, 2015).
"""
SHIFT_SCALE = 0.6
"""Scale of the half-Cauchy prior of the seeds' standard deviation, in units of sigma."""
SHIFTS = np.geomspace(0.05, 2000.0, 16)
"""Grid of that standard deviation."""
MIN_WEIGHT = 1e-4
"""Pairs of the grid with a smaller share of the posterior are left out."""


@dataclass(frozen=True)
class SweepNoise:
    """What the runs and the priors say of the noise: G weighted pairs of (kappa, shift).

    R is the number of rho. Means are relative to the seeds of the sweep: what a pair says of the
    level is the level of those seeds, so that their shift is in no covariance.
    """

    kappa: np.ndarray
    """Noise at rho = 1 over that of other runs, shape (G,)."""
    shift: np.ndarray
    """Standard deviation of the seeds' shifts, in units of sigma, shape (G,)."""
    weight: np.ndarray
    """Share of the posterior, shape (G,)."""
    variance: np.ndarray
    """Estimate of sigma^2, (nats/token)^2, shape (G,)."""
    dof: int
    """Degrees of freedom behind it: runs less values of rho."""
    loss: np.ndarray
    """Mean losses in nats/token, shape (G, R)."""
    unit_cov: np.ndarray
    """Their covariance for a sigma of one, shape (G, R, R)."""

    @property
    def sigma(self) -> float:
        """Run noise below rho = 1, nats/token."""
        return float(np.sqrt(self.weight @ self.variance))

    @property
    def anchor_sigma(self) -> float:
        """Run noise at rho = 1, nats/token."""
        return float(np.sqrt(self.weight @ (self.variance * self.kappa**2)))

    @property
    def mean_loss(self) -> np.ndarray:
        """Mean losses, nats/token, averaged over the posterior, shape (R,)."""
        return self.weight @ self.loss

    @property
    def mean_unit_cov(self) -> np.ndarray:
        """Covariance of the mean losses over sigma^2, all pairs together, shape (R, R)."""
        if self.sigma == 0:
            return np.einsum("g,grq->rq", self.weight, self.unit_cov)
        share = self.weight * self.variance / self.sigma**2
        off = (self.loss - self.mean_loss) / self.sigma
        return np.einsum("g,grq->rq", share, self.unit_cov) + (off.T * self.weight) @ off

    @property
    def shift_sd(self) -> float:
        """Standard deviation of the seeds' shifts, nats/token."""
        return float(np.sqrt(self.weight @ (self.variance * self.shift**2)))

    def kappa_quantiles(self, shares: np.ndarray) -> np.ndarray:
        """Return quantiles of kappa, same shape as `shares`."""
        order = np.argsort(self.kappa, kind="stable")
        logs, first = np.unique(np.log(self.kappa[order]), return_index=True)
        mass = np.add.reduceat(self.weight[order], first)
        # A grid point stands for its cell, so half of its mass lies below it.
        return np.exp(np.interp(shares, np.cumsum(mass) - mass / 2, logs))

    def draw(self, draws: int, rng: np.random.Generator) -> np.ndarray:
        """Draw errors of the mean losses, nats/token, shape (R, draws).

        Every draw takes its own kappa, shift and sigma.
        """
        of = rng.choice(len(self.weight), draws, p=self.weight)
        spread = rng.chisquare(self.dof, draws) / self.dof
        scale = np.sqrt(self.variance[of] / spread)
        roots = np.linalg.cholesky(self.unit_cov)[of]
        normal = rng.standard_normal((draws, self.loss.shape[1], 1))
        errors = (roots @ normal)[..., 0] * scale[:, None]
        return (self.loss[of] - self.mean_loss + errors).T

    def of_single_runs(self, rho: np.ndarray) -> "SweepNoise":
        """Return the same noise for a sweep with one run at each rho, shape (R,)."""
        scale = np.where(rho == 1, self.kappa[:, None] ** 2, 1.0)
        return replace(
            self,
            loss=np.zeros((len(self.weight), len(rho))),
            unit_cov=scale[:, None, :] * np.eye(len(rho)),
        )


def log_prior_of_kappa(anchors: int) -> np.ndarray:
    """Return the log prior probability of every kappa of the grid, shape of KAPPAS.

    Args:
        anchors: runs at rho = 1.
    """
    quiet = QUIET_SHARE if anchors > FEW_ANCHORS else QUIET_SHARE_OF_FEW
    loud = np.exp(-0.5 * _LOUD**2)
    return np.log(np.append(quiet, (1 - quiet) * loud / loud.sum()))


def sweep_noise(
    losses: np.ndarray, has_run: np.ndarray, anchor: int | np.ndarray | None
) -> SweepNoise | None:
    """Estimate the noise of a sweep.

    Args:
        losses: nats/token of every seed at every rho, 0 if there is no run, shape (S, R).
        has_run: which of them there are; at least one at every rho, shape (S, R).
        anchor: index of rho = 1, or several if R counts the points of several sweeps; None if
            there is no run there.

    Returns:
        The posterior; None if no rho below 1 has runs to spare, so that nothing measures sigma.
    """
    runs = has_run.sum(axis=0)
    anchors = np.array([] if anchor is None else anchor, dtype=int).reshape(-1)
    below = ~np.isin(np.arange(has_run.shape[1]), anchors)
    if (runs[below] - 1).sum() < 1:
        return None
    dof = int(runs.sum()) - len(runs)
    # Losses are taken relative to the plain mean of their rho: differences of large numbers that
    # lie close together would lose digits.
    plain = losses.sum(axis=0) / runs
    off = np.where(has_run, losses - plain, 0.0)

    # All pairs of the grid; without an anchor there is no kappa.
    kappas, log_prior = np.ones(1), np.zeros(1)
    if len(anchors):
        # Only runs beside a first one tell of kappa, at whichever anchor.
        beside = int((runs[anchors] - 1).sum())
        kappas, log_prior = KAPPAS, log_prior_of_kappa(1 + beside)
    kappa, shift = (axis.ravel() for axis in np.meshgrid(kappas, SHIFTS, indexing="ij"))
    variance = np.ones((len(kappa), len(runs)))
    variance[:, anchors] = kappa[:, None] ** 2
    w = 1 / variance  # (G, R)

    # Henderson's equations with the seeds eliminated: what is left is R x R.
    seeds = w @ has_run.T + 1 / shift[:, None] ** 2  # (G, S)
    cross = w[:, :, None] * has_run.T  # (G, R, S)
    by_seed = cross / seeds[:, None, :]
    information = -by_seed @ cross.transpose(0, 2, 1)
    diagonal = np.arange(len(runs))
    information[:, diagonal, diagonal] += w * runs
    inverse = np.linalg.inv(information)
    of_seed = w @ off.T  # (G, S)
    effects = -np.einsum("grq,gqs,gs->gr", inverse, by_seed, of_seed)
    shifts = (of_seed - np.einsum("grs,gr->gs", cross, effects)) / seeds
    squares = w @ (off**2).sum(axis=0) - np.einsum("gs,gs->g", shifts, of_seed)
    # Losses without noise leave rounding only: that is no noise, and decides between no pairs.
    rounding = 1e-12 * max(float((off**2).sum()), 1e-12)
    is_noise = squares > rounding

    # The posterior: restricted likelihood times the priors, on a grid that is even in logarithms.
    log_det = np.log(variance) @ runs + np.log(seeds * shift[:, None] ** 2).sum(axis=1)
    log_post = -0.5 * (
        log_det + np.linalg.slogdet(information)[1] + dof * np.log(np.maximum(squares, rounding))
    )
    log_post += np.log(shift) - np.log1p((shift / SHIFT_SCALE) ** 2)
    log_post += np.repeat(log_prior, len(SHIFTS))
    weight = np.exp(log_post - log_post.max())
    weight /= weight.sum()
    kept = weight > MIN_WEIGHT

    # The level is that of the sweep's seeds, each with the weight of its runs.
    share = has_run.sum(axis=1) / runs.sum()
    level = np.einsum("grs,s->gr", by_seed, share)
    centre = np.eye(len(runs)) - level[:, None, :]
    unit_cov = centre @ inverse @ centre.transpose(0, 2, 1)
    unit_cov += ((share**2) / seeds).sum(axis=1)[:, None, None]
    return SweepNoise(
        kappa=kappa[kept],
        shift=shift[kept],
        weight=weight[kept] / weight[kept].sum(),
        variance=np.where(is_noise, squares / dof, 0.0)[kept],
        dof=dof,
        loss=plain + (effects + (shifts @ share)[:, None])[kept],
        unit_cov=unit_cov[kept],
    )
