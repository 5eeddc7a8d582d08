"""What the memory is used for: loss and accuracy without what it looks up, by class of token.

Classes come from the text alone, by the longest n-gram that was measured: `copied`, if the window
itself holds the continuation; else `frequent`, if training showed the n-gram at least ten times;
else `rest`. Paper section 6.3 prints retained shares of benchmark scores; here absolute values
stand beside every share, and controls beside every suppression.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curve.readings import Interval
from analysis.inside.crossed import crossed
from analysis.inside.rows import at_rho, count, of_curve
from analysis.inside.words import share, with_interval
from analysis.levels import LEVEL
from engram_sweep.errors import UserError

ALL, COPIED, FREQUENT, REST = CLASSES = ("all", "copied", "frequent", "rest")
"""Classes of tokens; the last three are disjoint and are all."""
FREQUENT_STRATA = ("10-99", "100-1000", "> 1000")
WHOLE, SKIPPED, RETRAINED, CONTROL = "whole", "skipped", "skipped, retrained", "whole, retrained"
MODES = (WHOLE, SKIPPED, "shuffled", "mean row", RETRAINED, CONTROL)
"""What was done to the memory."""


@dataclass(frozen=True)
class Suppressed:
    """One class of tokens at one rho under one mode."""

    rho: float
    kind: str
    """One of CLASSES."""
    mode: str
    """One of MODES."""
    tokens: float
    """Share of the positions."""
    loss: Interval
    """Nats/token."""
    cost: Interval
    """That loss minus the one with the memory in place, nats/token."""
    accuracy: Interval
    """Share of tokens that are predicted right."""
    retained: Interval
    """That accuracy over the one with the memory in place."""


@dataclass(frozen=True)
class SuppressAnalysis:
    """What suppression shows along rho."""

    cells: tuple[Suppressed, ...]
    """By rho, CLASSES and MODES."""
    moe: dict[str, float]
    """Loss of pure MoE by class, nats/token; empty without runs at rho = 1."""
    documents: int
    seeds: int
    level: float
    """Nominal coverage of every interval."""

    def at(self, rho: float, kind: str, mode: str) -> Suppressed:
        """Return one cell."""
        [found] = [
            one for one in self.cells if one.rho == rho and one.kind == kind and one.mode == mode
        ]
        return found

    @property
    def rhos(self) -> tuple[float, ...]:
        """The measured rho below 1, ascending."""
        return tuple(sorted({one.rho for one in self.cells}))

    @property
    def best(self) -> float:
        """The rho with the lowest loss, memory in place."""
        losses = {rho: self.at(rho, ALL, WHOLE).loss.value or np.inf for rho in self.rhos}
        return min(losses, key=lambda rho: losses[rho])


def analyse_suppress(table: pd.DataFrame, source: str, level: float = LEVEL) -> SuppressAnalysis:
    """Analyse the tallies of a sweep's runs.

    Args:
        table: rows of the measure `suppress`, with the columns of their runs.
        source: what to call the table in messages.
        level: nominal coverage of every interval.

    Raises:
        UserError: no run has a memory.
    """
    rows = of_curve(table)
    rows = rows.loc[rows["order"] == rows["order"].max()]
    rows = rows.assign(kind=classes_of(rows))
    with_memory = rows.loc[rows["rho"].isin(rows.loc[rows["mode"] == SKIPPED, "rho"])]
    if with_memory.empty:
        raise UserError(f"{source}: expected runs with a memory, found none")
    cells = [
        cell
        for rho, of_rho in with_memory.groupby("rho")
        for kind in CLASSES
        for cell in _cells(float(rho), kind, of_rho, level)
    ]
    pure = at_rho(rows, 1.0)
    return SuppressAnalysis(
        cells=tuple(cells),
        moe={kind: _mean_loss(_of_class(pure, kind)) for kind in CLASSES} if len(pure) else {},
        documents=count(rows, "document"),
        seeds=count(with_memory, "seed"),
        level=level,
    )


def classes_of(rows: pd.DataFrame) -> np.ndarray:
    """Return the class of each row of tallies, one of CLASSES but `all`."""
    frequent = np.where(rows["stratum"].isin(FREQUENT_STRATA), FREQUENT, REST)
    return np.where(rows["copied"], COPIED, frequent)


def _of_class(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    return rows if kind == ALL else rows.loc[rows["kind"] == kind]


def _mean_loss(rows: pd.DataFrame) -> float:
    return float(rows["loss"].to_numpy().sum() / max(1, rows["tokens"].to_numpy().sum()))


def _cells(rho: float, kind: str, rows: pd.DataFrame, level: float) -> list[Suppressed]:
    """Read one class at one rho, by mode."""
    chosen = _of_class(rows, kind)
    if chosen.empty:
        return []
    # Tokens, loss and right answers of each mode, side by side, by seed and document.
    wide = chosen.pivot_table(
        index=["seed", "document"],
        columns="mode",
        values=["tokens", "loss", "correct"],
        aggfunc="sum",
        fill_value=0,
    )
    wide.columns = [f"{value} {mode}" for value, mode in wide.columns]
    columns = [f"{value} {mode}" for mode in MODES for value in ("tokens", "loss", "correct")]
    sums = crossed(wide.reset_index(), columns)
    of_all = rows.loc[rows["mode"] == WHOLE, "tokens"].sum()
    tokens = chosen.loc[chosen["mode"] == WHOLE, "tokens"].sum() / of_all
    found = []
    for place, mode in enumerate(MODES):
        n, loss, right = 3 * place, 3 * place + 1, 3 * place + 2
        found.append(
            Suppressed(
                rho,
                kind,
                mode,
                float(tokens),
                sums.interval(lambda s, n=n, loss=loss: s[loss] / s[n], level),
                sums.interval(lambda s, n=n, loss=loss: s[loss] / s[n] - s[1] / s[0], level),
                sums.interval(lambda s, n=n, right=right: s[right] / s[n], level),
                sums.interval(lambda s, right=right: s[right] / s[2], level),
            )
        )
    return found


def state_suppress(result: SuppressAnalysis) -> list[str]:
    """Put the suppression into sentences, in nats/token."""
    rho = result.best

    def cost(mode: str) -> str:
        return with_interval(result.at(rho, ALL, mode).cost)

    whole, skipped = (result.at(rho, ALL, mode).loss for mode in (WHOLE, SKIPPED))
    pure = f"; pure MoE {result.moe[ALL]:.4f}" if result.moe else ""
    kinds = {one.kind for one in result.cells if one.rho == rho} - {ALL}
    retained = [
        f"{kind} {share(at.retained)} of {at_whole.accuracy.value:.0%}"
        for kind in CLASSES
        if kind in kinds
        for at, at_whole in [(result.at(rho, kind, SKIPPED), result.at(rho, kind, WHOLE))]
    ]
    return [
        f"Suppression at rho {rho:.2f} ({result.documents} held-out documents, {result.seeds} "
        f"seeds): skipping the memory costs {cost(SKIPPED)} nats/token (loss "
        f"{with_interval(whole)}, skipped {with_interval(skipped)}{pure}).",
        f"Controls: trained on for 2 % of the steps without it, {cost(RETRAINED)}, and with it in "
        f"place {cost(CONTROL)}; rows of other positions {cost('shuffled')}; the mean row "
        f"{cost('mean row')}.",
        f"Accuracy retained without it: {'; '.join(retained)}.",
    ]


def suppress_table(result: SuppressAnalysis) -> pd.DataFrame:
    """Return one row per rho, class and mode, every reading with its limits."""
    rows = []
    for one in result.cells:
        row: dict[str, object] = {
            "rho": one.rho,
            "class": one.kind,
            "memory": one.mode,
            "tokens": one.tokens,
        }
        for name in ("loss", "cost", "accuracy", "retained"):
            interval = getattr(one, name)
            row |= {
                name: interval.value,
                f"{name} low": interval.low,
                f"{name} high": interval.high,
            }
        rows.append(row)
    return pd.DataFrame(rows)
