"""Which rho stands at pure MoE's loss: a hybrid that differs from it, but is no better.

Whatever the best hybrid shows beside pure MoE may be the way of any model of a lower loss. On the
far side of the U the loss comes back up to pure MoE's, and what is still different there is not
of the loss.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

MAX_SHARE = 0.25
"""Of the best rho's distance from pure MoE: nearer than that counts as equal."""


@dataclass(frozen=True)
class EqualLoss:
    """The rho below 1 whose validation loss is nearest to pure MoE's."""

    rho: float
    above_moe: float
    """Its mean loss minus pure MoE's, nats/token, over the seeds that both have."""
    best_rho: float
    best_above_moe: float
    """The same of the rho below 1 with the lowest loss."""

    @property
    def is_equal(self) -> bool:
        """Whether it is near enough to stand for pure MoE's loss."""
        return abs(self.above_moe) <= MAX_SHARE * abs(self.best_above_moe)

    def words(self) -> str:
        """Return which rho it is, or that there is none, in one sentence."""
        best = f"at rho {self.best_rho:.2f} it is {self.best_above_moe:+.4f}"
        if self.is_equal:
            return (
                f"At rho {self.rho:.2f} the validation loss is about pure MoE's "
                f"({self.above_moe:+.4f} nats/token; {best}): what differs there as it does at the "
                "best rho is not of a lower loss."
            )
        return (
            f"No measured rho stands at pure MoE's loss (nearest: {self.rho:.2f}, "
            f"{self.above_moe:+.4f} nats/token; {best}), so any lower loss may do the same."
        )


def equal_loss(rows: pd.DataFrame) -> EqualLoss | None:
    """Find the rho whose loss is nearest to pure MoE's; None if no seed has both.

    Args:
        rows: of any measure, with the columns of their runs.
    """
    runs = rows.drop_duplicates("run_id")
    is_pure = np.isclose(runs["rho"], 1.0)
    pure = runs.loc[is_pure].groupby("seed")["validation_loss"].mean()
    below = runs.loc[~is_pure]
    # Within seeds: one that is hard at every rho moves no gap.
    gaps = below["validation_loss"] - below["seed"].map(pure)
    by_rho = gaps.groupby(below["rho"]).mean().dropna()
    if by_rho.empty:
        return None
    best, nearest = float(str(by_rho.idxmin())), float(str(by_rho.abs().idxmin()))
    return EqualLoss(nearest, float(by_rho[nearest]), best, float(by_rho[best]))
