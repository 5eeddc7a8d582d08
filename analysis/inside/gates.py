"""How far the gates open: by stratum, against how often the n-gram was shown and what it gains."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curve.readings import Interval
from analysis.inside.crossed import crossed
from analysis.inside.rows import best_rho, count, of_curve
from analysis.inside.strata import COPIES, COUNTS, belongs
from analysis.inside.words import with_interval
from analysis.levels import LEVEL
from engram_sweep.errors import UserError

SUMS = (
    "tokens", "gate", "gate2", "log_count", "log_count2", "gate_log_count", "gain", "gain2",
    "gate_gain",
)  # fmt: skip
"""Columns of the measure that are summed, in the order in which they are read here."""


@dataclass(frozen=True)
class Gate:
    """One module's gate of one residual stream at one rho."""

    rho: float
    block: int
    stream: int
    mean: Interval
    """Over all held-out tokens, between 0 and 1."""
    spread: Interval
    """Standard deviation over tokens."""
    of_count: Interval
    """Correlation over tokens with log(1 + times that training showed the n-gram)."""
    of_gain: Interval
    """Correlation over tokens with the loss that skipping the memory adds there."""
    by_stratum: dict[str, Interval]
    """Mean by COUNTS and COPIES of the longest n-gram."""


@dataclass(frozen=True)
class GatesAnalysis:
    """The gates of a sweep along rho."""

    gates: tuple[Gate, ...]
    """By rho, block and stream."""
    best: float
    """The rho with the lowest validation loss."""
    documents: int
    seeds: int
    level: float
    """Nominal coverage of every interval."""


def correlation(n: np.ndarray, x: np.ndarray, xx: np.ndarray, y: np.ndarray, yy: np.ndarray,
                xy: np.ndarray) -> np.ndarray:  # fmt: skip
    """Return Pearson's correlation from n and the sums of x, x^2, y, y^2 and x y, all (B,)."""
    covariance = xy / n - x / n * (y / n)
    return covariance / np.sqrt((xx / n - (x / n) ** 2) * (yy / n - (y / n) ** 2))


def analyse_gates(table: pd.DataFrame, source: str, level: float = LEVEL) -> GatesAnalysis:
    """Analyse the gates of a sweep's runs.

    Args:
        table: rows of the measure `gates`, with the columns of their runs.
        source: what to call the table in messages.
        level: nominal coverage of every interval.

    Raises:
        UserError: no run has a gate.
    """
    rows = of_curve(table)
    rows = rows.loc[rows["order"] == rows["order"].max()]
    if rows.empty:
        raise UserError(f"{source}: expected runs with gates, found none")
    gates = [
        _gate(float(rho), int(block), int(stream), at, level)
        for (rho, block, stream), at in rows.groupby(["rho", "block", "stream"])
    ]
    return GatesAnalysis(
        tuple(gates), best_rho(rows), count(rows, "document"), count(rows, "seed"), level
    )


def _gate(rho: float, block: int, stream: int, rows: pd.DataFrame, level: float) -> Gate:
    sums = crossed(rows, SUMS)
    # An n-gram that the window cuts has no count.
    counted = crossed(rows.loc[rows["stratum"] != COUNTS[-1]], SUMS)
    by_stratum = {}
    for name in (*COUNTS, *COPIES):
        chosen = belongs(rows, name)
        if chosen.any():
            part = crossed(rows.loc[chosen], SUMS[:2])
            by_stratum[name] = part.interval(lambda s: s[1] / s[0], level)
    return Gate(
        rho,
        block,
        stream,
        sums.interval(lambda s: s[1] / s[0], level),
        sums.interval(lambda s: np.sqrt(np.maximum(s[2] / s[0] - (s[1] / s[0]) ** 2, 0)), level),
        counted.interval(lambda s: correlation(s[0], s[1], s[2], s[3], s[4], s[5]), level),
        sums.interval(lambda s: correlation(s[0], s[1], s[2], s[6], s[7], s[8]), level),
        by_stratum,
    )


def state_gates(result: GatesAnalysis) -> list[str]:
    """Put the gates of the best rho into sentences, one for each block and stream."""
    said = [
        f"Gates at rho {result.best:.2f} ({result.documents} held-out documents, {result.seeds} "
        "seeds), over every token."
    ]
    for one in (gate for gate in result.gates if gate.rho == result.best):
        place = f"Block {one.block}"
        place += f", stream {one.stream}" if any(g.stream for g in result.gates) else ""
        said.append(
            f"{place}: mean {with_interval(one.mean, 3)}, spread over tokens "
            f"{with_interval(one.spread, 3)}; correlation with the logarithm of the n-gram's count "
            f"{with_interval(one.of_count, 2)}, with what the memory gains at the token "
            f"{with_interval(one.of_gain, 2)}."
        )
    return said


def gates_table(result: GatesAnalysis) -> pd.DataFrame:
    """Return one row per rho, block, stream and stratum, the whole text first."""
    rows = []
    for one in result.gates:
        for name, interval in {"all": one.mean, **one.by_stratum}.items():
            rows.append(
                {
                    "rho": one.rho,
                    "block": one.block,
                    "stream": one.stream,
                    "stratum": name,
                    "gate": interval.value,
                    "low": interval.low,
                    "high": interval.high,
                    "correlation with log count": one.of_count.value if name == "all" else None,
                    "correlation with gain": one.of_gain.value if name == "all" else None,
                }
            )
    return pd.DataFrame(rows)
