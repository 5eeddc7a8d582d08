"""Sources of the noise of a difference along rho: the run, the validation set, the seed."""

import numpy as np
import pandas as pd

from analysis.curve.means import RhoMeans


def noise_sources(means: RhoMeans) -> pd.DataFrame:
    """Return one row per source of noise in the difference between two values of rho.

    Columns: `source`; `one_seed`, the standard deviation (nats/token) in a difference of two runs
    of one seed, one of them at the largest rho; `all_seeds`, the same after averaging over the
    sweep's runs; `share`, of the variance with all of them; `smaller_with`, what would make it
    smaller. The seed's shift is what two runs of different seeds would differ by on top; it has no
    share if seeds are paired. Windows are averaged over the differences to the largest rho.

    Args:
        means: the means of a sweep; without noise every number is NaN.
    """
    # Variances of a difference: both of its runs have the noise, and the windows covary.
    cov = means.window_cov
    window = float(np.mean((cov.diagonal() + cov[-1, -1] - 2 * cov[-1])[:-1]))
    run = end = shift = float("nan")
    if means.noise is not None:
        run = means.noise.sigma**2
        end = means.noise.anchor_sigma**2 if means.rho[-1] == 1 else run
        shift = 2 * means.noise.shift_sd**2
    left_of_shift = 0.0 if means.paired else shift / means.seeds
    rows = [
        ("run", run, run / means.runs[:-1].mean(), "seeds"),
        (f"run at rho = {means.rho[-1]:g}", end, end / means.runs[-1], "runs there"),
        ("validation windows", window, window, "more held-out text"),
        ("seed's shift", shift, left_of_shift, "pairing takes it out"),
    ]
    sources = pd.DataFrame(rows, columns=["source", "one_seed", "all_seeds", "smaller_with"])
    total = sources["all_seeds"].sum(skipna=False)
    sources.insert(3, "share", sources["all_seeds"] / max(total, 1e-300))
    if means.noise is None:
        sources[["one_seed", "all_seeds", "share"]] = np.nan
    return sources.assign(
        one_seed=np.sqrt(sources["one_seed"]), all_seeds=np.sqrt(sources["all_seeds"])
    )
