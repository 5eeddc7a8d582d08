"""How early a prediction is ready: KL of each block's reading to the final one, beside pure MoE."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.curve.readings import Interval
from analysis.inside.crossed import crossed, paired
from analysis.inside.equal_loss import EqualLoss, equal_loss
from analysis.inside.rows import at_rho, best_rho, count, of_curve
from analysis.inside.words import with_interval, with_limits
from analysis.levels import LEVEL
from engram_sweep.errors import UserError


@dataclass(frozen=True)
class Layer:
    """One layer at one rho."""

    rho: float
    layer: int
    """Counted from 1."""
    kl: Interval
    """KL(final || layer), nats/token."""
    below_moe: Interval
    """Pure MoE's minus this, paired by seed and document; all None at rho = 1."""


@dataclass(frozen=True)
class DepthAnalysis:
    """Every layer along rho."""

    layers: tuple[Layer, ...]
    best: float
    """The rho below 1 with the lowest validation loss."""
    documents: int
    seeds: int
    level: float
    """Nominal coverage of every interval."""
    equal_loss: EqualLoss | None

    @property
    def rhos(self) -> tuple[float, ...]:
        """The measured rho, ascending."""
        return tuple(sorted({one.rho for one in self.layers}))

    def at(self, rho: float) -> tuple[Layer, ...]:
        """Return the layers at one rho, from the first on."""
        return tuple(one for one in self.layers if one.rho == rho)


def analyse_depth(table: pd.DataFrame, source: str, level: float = LEVEL) -> DepthAnalysis:
    """Analyse the divergences of a sweep's runs.

    Args:
        table: rows of the measure `depth`, with the columns of their runs.
        source: what to call the table in messages.
        level: nominal coverage of every interval.

    Raises:
        UserError: there is no run at rho = 1 to compare with.
    """
    rows = of_curve(table)
    pure = at_rho(rows, 1.0)
    if pure.empty or len(pure) == len(rows):
        raise UserError(f"{source}: expected runs at rho = 1 and below, to compare")
    layers = []
    for place, at in rows.groupby(["rho", "layer"]):
        rho, layer = place  # type: ignore[misc]
        kl = crossed(at, ["kl", "tokens"]).interval(lambda s: s[0] / s[1], level)
        beside = pure.loc[pure["layer"] == layer]
        below = Interval(None, None, None)
        if rho < 1 and set(beside["seed"]) & set(at["seed"]):
            both = paired(beside, at, ["kl", "tokens"])
            below = both.interval(lambda s: s[0] / s[1] - s[2] / s[3], level)
        layers.append(Layer(float(rho), int(layer), kl, below))
    return DepthAnalysis(
        tuple(layers),
        best_rho(rows),
        count(rows, "document"),
        count(rows, "seed"),
        level,
        equal_loss(rows),
    )


def state_depth(result: DepthAnalysis) -> list[str]:
    """Put the layers of the best rho into sentences."""
    layers = result.at(result.best)
    said = [
        f"Depth at rho {result.best:.2f} ({result.documents} held-out documents, {result.seeds} "
        f"seeds): KL(final || layer) in nats/token, {len(layers)} layers, the last zero by itself."
    ]
    said += _beside_moe(layers)
    if (equal := result.equal_loss) is not None:
        said.append(equal.words())
        if equal.is_equal:
            said += _beside_moe(result.at(equal.rho))
    return said


def _beside_moe(layers: Sequence[Layer]) -> list[str]:
    """Put every layer but the last into a sentence."""
    return [
        f"Layer {one.layer}: {with_interval(one.kl, 3)}, below pure MoE by "
        f"{with_interval(one.below_moe, 3)}."
        for one in layers[:-1]
        if one.below_moe.value is not None
    ]


def depth_table(result: DepthAnalysis) -> pd.DataFrame:
    """Return one row per rho and layer."""
    return pd.DataFrame(
        {
            "rho": one.rho,
            "layer": one.layer,
            **with_limits("KL", one.kl),
            **with_limits("below pure MoE", one.below_moe),
        }
        for one in result.layers
    )
