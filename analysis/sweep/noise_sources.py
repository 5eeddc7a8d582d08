"""Sources of the noise of a difference along rho: the run, the validation set, the seed."""

import numpy as np
import pandas as pd

from analysis.curve.means import RhoMeans


def noise_sources(runs: pd.DataFrame, means: RhoMeans) -> pd.DataFrame:
    """Return one row per source of noise in the difference between two values of rho.

    Columns: `source`; `one_seed`, the standard deviation (nats/token) in a difference of two runs
    of one seed; `all_seeds`, the same after averaging over the sweep's seeds; `share`, of the
    variance with all seeds; `smaller_with`, what would make it smaller. The seed's shift is what
    two runs of different seeds would differ by on top; it has no share if seeds are paired. Windows
    are averaged over the differences to the largest rho.

    Args:
        runs: the rows that `means` was made of.
        means: at least one degree of freedom for the noise; else every number is NaN.
    """
    # Variances of a difference: both of its runs have the noise, and the windows covary.
    cov = means.window_cov
    window = float(np.mean((cov.diagonal() + cov[-1, -1] - 2 * cov[-1])[:-1]))
    run = 2 * means.sigma**2
    shift = 2 * _shift_variance(runs, means)
    left_of_shift = 0.0 if means.paired else shift / means.seeds
    rows = [
        ("run", run, run / means.seeds, "seeds"),
        ("validation windows", window, window, "more held-out text"),
        ("seed's shift", shift, left_of_shift, "pairing takes it out"),
    ]
    sources = pd.DataFrame(rows, columns=["source", "one_seed", "all_seeds", "smaller_with"])
    total = sources["all_seeds"].sum(skipna=False)
    sources.insert(3, "share", sources["all_seeds"] / max(total, 1e-300))
    if means.dof < 1:
        sources[["one_seed", "all_seeds", "share"]] = np.nan
    return sources.assign(
        one_seed=np.sqrt(sources["one_seed"]), all_seeds=np.sqrt(sources["all_seeds"])
    )


def _shift_variance(runs: pd.DataFrame, means: RhoMeans) -> float:
    """Return the variance of the shift that runs of a seed share, (nats/token)^2.

    The shift is how far seeds lie apart beyond what run noise explains; NaN for one seed.
    """
    at = np.searchsorted(means.rho, runs["rho"].to_numpy(float))
    off = runs["validation_loss"].to_numpy(float) - means.loss[at]
    seeds, of_seed, sizes = np.unique(
        runs["seed"].to_numpy(), return_inverse=True, return_counts=True
    )
    if len(seeds) < 2 or means.dof < 1:
        return float("nan")
    shifts = np.bincount(of_seed, off) / sizes
    return max(float(np.var(shifts, ddof=1) - means.sigma**2 * np.mean(1 / sizes)), 0.0)
