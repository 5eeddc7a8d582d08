"""What a cache of the most frequent rows would serve: hit rate against its share of the table."""

from dataclasses import dataclass

import pandas as pd

from analysis.curve.readings import Interval
from analysis.inside.crossed import crossed
from analysis.inside.rows import count, of_curve
from analysis.inside.words import share, with_limits
from analysis.levels import LEVEL
from engram_sweep.errors import UserError

SAID = (0.01, 0.1)
"""Shares of the rows that the sentence names."""


@dataclass(frozen=True)
class HitRate:
    """One cache of one order's rows at one rho."""

    rho: float
    table: int
    order: int
    rows: int
    """Rows of the order, all heads."""
    share: float
    """Of these rows, in the cache."""
    hits: Interval
    """Share of held-out look-ups that it serves."""


@dataclass(frozen=True)
class HotRowsAnalysis:
    """Caches along rho, by table, order and size."""

    rates: tuple[HitRate, ...]
    documents: int
    seeds: int
    level: float
    """Nominal coverage of every interval."""


def analyse_hot_rows(table: pd.DataFrame, source: str, level: float = LEVEL) -> HotRowsAnalysis:
    """Analyse the look-ups of a sweep's runs.

    Args:
        table: rows of the measure `hot-rows`, with the columns of their runs.
        source: what to call the table in messages.
        level: nominal coverage of every interval.

    Raises:
        UserError: no run has a memory.
    """
    rows = of_curve(table)
    if rows.empty:
        raise UserError(f"{source}: expected runs with a memory, found none")
    rates = []
    for place, at in rows.groupby(["rho", "table", "order", "share"]):
        rho, number, order, cached = place  # type: ignore[misc]
        sums = crossed(at, ["hits", "look_ups"])
        hits = sums.interval(lambda s: s[0] / s[1], level)
        rates.append(
            HitRate(rho, int(number), int(order), int(at["rows"].iloc[0]), float(cached), hits)
        )
    return HotRowsAnalysis(tuple(rates), count(rows, "document"), count(rows, "seed"), level)


def state_hot_rows(result: HotRowsAnalysis) -> list[str]:
    """Put the caches into sentences: of the largest tables, which the smallest rho has."""
    rho = min(one.rho for one in result.rates)
    said = [
        f"Hot rows of {result.documents} held-out documents, {result.seeds} seeds, at rho "
        f"{rho:.2f}: rows ranked by training, hits counted on held-out look-ups."
    ]
    largest = [one for one in result.rates if one.rho == rho]
    for table, order in sorted({(one.table, one.order) for one in largest}):
        caches = {one.share: one for one in largest if (one.table, one.order) == (table, order)}
        served = [f"{cached:.0%} of them {share(caches[cached].hits)}" for cached in SAID]
        rows = next(iter(caches.values())).rows
        said.append(
            f"Order {order}, {rows:,} rows (table {table}): a cache of {' and of '.join(served)} "
            "of the look-ups."
        )
    return said


def hot_rows_table(result: HotRowsAnalysis) -> pd.DataFrame:
    """Return one row per rho, table, order and share."""
    return pd.DataFrame(
        {
            "rho": one.rho,
            "table": one.table,
            "order": one.order,
            "rows": one.rows,
            "share": one.share,
            **with_limits("hits", one.hits),
        }
        for one in result.rates
    )
