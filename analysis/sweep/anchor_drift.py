"""Does the anchor, rho = 1, which every sweep trains, still get the same loss elsewhere or later.

Batches (analysis.runs.batches) that share seeds are paired, and judged by the noise of rho = 1 in
the sweep; else they are judged by how the seeds within a batch scatter.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from analysis.curve.means import RhoMeans
from analysis.curve.noise import SweepNoise
from analysis.runs.batches import PROVENANCE, batch_of
from analysis.runs.table import CURVE_ARMS, SweepRuns


@dataclass(frozen=True)
class AnchorDrift:
    """What batches of one anchor show; every loss in nats/token."""

    batches: int
    """Number of batches."""
    runs: int
    """Finite runs in all of them."""
    seeds: str
    """What was compared: "paired" (common seeds) or "unpaired"."""
    difference: float
    """Mean loss of the highest batch minus that of the lowest, seeds taken out if paired."""
    p_value: float | None
    """That the batches differ by noise only; None if nothing measures the noise."""
    changed: tuple[str, ...]
    """Columns of PROVENANCE that differ between the batches; "started_at" if none does."""

    @property
    def sentence(self) -> str:
        """The same in words."""
        differ = (
            f"{self.batches} batches of rho = 1 (other {', '.join(self.changed)}) differ by "
            f"{self.difference:.4f}"
        )
        if self.p_value is None:
            return f"{differ} nats/token; too few runs to say whether that is noise."
        return f"{differ} nats/token, {self.seeds} (p = {self.p_value:.2g})."


def anchor_drift(sweep: SweepRuns, means: RhoMeans) -> AnchorDrift | None:
    """Compare the batches of rho = 1 of one sweep, what was trained again elsewhere included.

    Args:
        sweep: the runs.
        means: their means and noise.

    Returns:
        The comparison; None if all runs are one batch.
    """
    runs = pd.concat([sweep.curve, sweep.repeats])
    at_anchor = (runs["rho"].to_numpy() == 1) & runs["arm"].isin(CURVE_ARMS).to_numpy()
    anchors = runs.iloc[np.flatnonzero(at_anchor)].reset_index(drop=True)
    return compare_anchors(anchors, means.noise)


def compare_anchors(runs: pd.DataFrame, noise: SweepNoise | None) -> AnchorDrift | None:
    """Compare the batches among runs that differ in seed and provenance only.

    Args:
        runs: finite runs at rho = 1 of one spec, columns `seed`, `validation_loss` and what is
            known of PROVENANCE; a seed may occur once in each batch.
        noise: of their sweep; None if nothing measures it.

    Returns:
        The comparison; None if all runs are one batch.
    """
    batch = batch_of(runs)
    count = int(batch.max(initial=0)) + 1
    if count < 2:
        return None
    loss = runs["validation_loss"].to_numpy(float)
    seeds = np.unique(runs["seed"].to_numpy(), return_inverse=True)[1]
    columns = np.eye(count)[batch]
    of_seed = np.eye(seeds.max() + 1)[seeds]

    # Batches can be paired if common seeds connect all of them: then seeds and batches together
    # have full rank, but for the one level that they share.
    paired = np.linalg.matrix_rank(np.hstack([of_seed, columns])) == of_seed.shape[1] + count - 1
    null = of_seed if paired else np.ones((len(loss), 1))
    explained, effects = _explained(null, columns, loss)

    per_batch = explained / (count - 1)
    p_value = None
    if paired and noise is not None and noise.sigma > 0:
        # The noise of rho = 1 in the sweep, whatever its ratio to that of other runs may be.
        ratios = per_batch / (noise.variance * noise.kappa**2)
        p_value = float(noise.weight @ special.fdtrc(count - 1, noise.dof, ratios))
    elif not paired:
        # The scatter within the batches.
        spare = len(loss) - count
        left = loss - columns @ np.linalg.lstsq(columns, loss)[0]
        if spare > 0 and left @ left > 0:
            p_value = float(special.fdtrc(count - 1, spare, per_batch / (left @ left) * spare))
    return AnchorDrift(
        batches=count,
        runs=len(loss),
        seeds="paired" if paired else "unpaired",
        difference=float(np.ptp(effects)),
        p_value=p_value,
        changed=_changed(runs),
    )


def _changed(runs: pd.DataFrame) -> tuple[str, ...]:
    """Return the columns of PROVENANCE with more than one value, or else "started_at"."""
    changed = (c for c in PROVENANCE if c in runs and len(set(map(str, runs[c]))) > 1)
    return tuple(changed) or ("started_at",)


def _explained(null: np.ndarray, columns: np.ndarray, loss: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the sum of squares that the columns explain beyond `null`, and their effects."""
    both = np.hstack([null, columns])
    fit = np.linalg.lstsq(both, loss)[0]
    short = np.linalg.lstsq(null, loss)[0]
    return float(np.sum((both @ fit - null @ short) ** 2)), fit[null.shape[1] :]
