"""Where the gain lives: the curve over rho within each stratum of the held-out text.

Each stratum is analysed as if it were a validation set of its own, with its documents in place of
windows, so that gain and rho* come with the run noise of the sweep and the noise of its documents.
What a stratum adds to the whole gain is its summed difference over that of all.
"""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curve.readings import Interval
from analysis.inside.crossed import paired
from analysis.inside.rows import as_runs, at_rho, count, of_curve
from analysis.inside.words import share, with_interval, with_limits
from analysis.levels import LEVEL
from analysis.sweep.sweep_analysis import SweepAnalysis, analyse_sweep
from engram_sweep.errors import UserError

MIN_TOKENS = 200
"""Positions below which a stratum has no curve of its own."""
DRAWS = 500
"""Bootstrap draws of each stratum's curve: there are dozens of them."""
COUNTS = ("never", "1-3", "4-9", "10-99", "100-1000", "> 1000", "cut")
"""Strata by how often training presented the n-gram, in order; `cut` by the window's edge."""
COPIES = ("copied", "not copied")
"""Strata by whether the window holds the continuation already."""


@dataclass(frozen=True)
class Stratum:
    """What the sweep shows within one stratum."""

    order: int
    """Tokens of the n-gram."""
    name: str
    """One of COUNTS or COPIES."""
    tokens: float
    """Share of the held-out tokens."""
    loss: float
    """At rho = 1, nats/token."""
    gain: Interval
    """Loss at rho = 1 minus the lowest of the stratum's own curve, nats/token."""
    rho_star: Interval
    """rho of that lowest loss."""
    part: Interval
    """Of the whole gain at the best rho, the share that comes from here."""


@dataclass(frozen=True)
class StrataAnalysis:
    """What a sweep's strata show; one order's strata by count, or by copy, are the whole."""

    whole: SweepAnalysis
    """The sweep's own analysis."""
    rho: float
    """The rho below 1 with the lowest mean loss, at which gains are split."""
    strata: tuple[Stratum, ...]
    """By order, COUNTS and then COPIES; those without tokens are left out."""
    documents: int
    """Held-out documents."""
    seeds: int
    """Seeds with a run at rho = 1 and at `rho`, by which differences are paired."""
    level: float
    """Nominal coverage of every interval."""

    def of(self, order: int) -> tuple[Stratum, ...]:
        """Return the strata of one order."""
        return tuple(one for one in self.strata if one.order == order)

    @property
    def orders(self) -> tuple[int, ...]:
        """The orders that were measured."""
        return tuple(sorted({one.order for one in self.strata}))


def analyse_strata(table: pd.DataFrame, source: str, level: float = LEVEL) -> StrataAnalysis:
    """Analyse the tallies of a sweep's runs.

    Args:
        table: rows of the measure `strata`, with the columns of their runs.
        source: what to call the table in messages.
        level: nominal coverage of every interval.

    Raises:
        UserError: there are too few runs for a curve, or none at rho = 1.
    """
    curve = of_curve(table)
    first = curve["order"].min()
    whole = analyse_sweep(as_runs(curve.loc[curve["order"] == first]), source, level, draws=DRAWS)
    if not whole.has_moe:
        raise UserError(f"{source}: expected runs at rho = 1, to measure gains against")
    below = whole.means.rho < 1
    rho = float(whole.means.rho[below][whole.means.loss[below].argmin()])
    strata = []
    for order in sorted(curve["order"].unique()):
        of_order = curve.loc[curve["order"] == order]
        for name in (*COUNTS, *COPIES):
            if belongs(of_order, name).any():
                strata.append(_stratum(of_order, int(order), name, rho, level))
    at_one, at_best = (at_rho(curve.loc[curve["order"] == first], each) for each in (1.0, rho))
    return StrataAnalysis(
        whole=whole,
        rho=rho,
        strata=tuple(strata),
        documents=count(curve, "document"),
        seeds=len(set(at_one["seed"]) & set(at_best["seed"])),
        level=level,
    )


def state_strata(result: StrataAnalysis) -> list[str]:
    """Put the strata into sentences, in nats/token."""
    order = result.orders[-1]
    counted = [one for one in result.of(order) if one.name in COUNTS and one.gain.low is not None]
    said = [
        f"Strata of {result.documents} held-out documents, {result.seeds} paired seeds; whole gain "
        f"{with_interval(result.whole.gain_over_moe)} nats/token, split at rho {result.rho:.2f}."
    ]
    if not counted:
        return [*said, "No stratum has enough tokens for a curve of its own."]
    most = max(counted, key=lambda one: one.part.value or 0.0)
    richest = max(counted, key=lambda one: one.gain.value or 0.0)
    said.append(
        f"Most of the gain, {share(most.part)}, is at tokens behind a {order}-gram that training "
        f"showed {most.name} times ({most.tokens:.0%} of the tokens); per token it is largest "
        f"for {richest.name}: {with_interval(richest.gain)}."
    )
    copied = [one for one in result.of(order) if one.name == "copied" and one.gain.low is not None]
    if copied:
        said.append(
            f"Where the window itself holds the continuation ({copied[0].tokens:.0%} of the "
            f"tokens) the gain is {with_interval(copied[0].gain)}."
        )
    placed = [f"{one.name}: {with_interval(one.rho_star, 2)}" for one in counted]
    said.append(f"rho* by how often the {order}-gram was shown: {'; '.join(placed)}.")
    return said


def strata_table(result: StrataAnalysis) -> pd.DataFrame:
    """Return one row per stratum: shares, loss, and every reading with its limits."""
    rows = []
    for one in result.strata:
        row: dict[str, object] = {
            "order": one.order,
            "stratum": one.name,
            "tokens": one.tokens,
            "loss at rho = 1": one.loss,
        }
        row |= with_limits("gain", one.gain) | with_limits("rho*", one.rho_star)
        row |= with_limits("share of the gain", one.part)
        rows.append(row)
    return pd.DataFrame(rows)


def belongs(rows: pd.DataFrame, name: str) -> np.ndarray:
    """Return which rows of one order belong to a stratum of COUNTS or COPIES, (n,) bool."""
    if name in COPIES:
        return rows["copied"].to_numpy(bool) == (name == COPIES[0])
    return rows["stratum"].to_numpy() == name


def _stratum(rows: pd.DataFrame, order: int, name: str, rho: float, level: float) -> Stratum:
    """Analyse one stratum.

    Args:
        rows: tallies of one order.
        order: that order.
        name: of the stratum.
        rho: at which the whole gain is split.
        level: nominal coverage.
    """
    inside = belongs(rows, name)
    chosen, anchor = rows.loc[inside], at_rho(rows.loc[inside], 1.0)
    gain = rho_star = Interval(None, None, None)
    tokens = int(anchor["tokens"].to_numpy().sum())
    if tokens >= MIN_TOKENS * len(set(anchor["seed"])):
        # A stratum that too few runs have tokens of has no curve; its share of the gain stands.
        with suppress(UserError):
            result = analyse_sweep(as_runs(chosen), name, level, draws=DRAWS)
            gain, rho_star = result.gain_over_moe, result.rho_star
    # Of the stratum, and of all: losses outside it are put to zero, so documents stay aligned.
    here = rows.assign(here=np.where(inside, rows["loss"], 0.0))
    both = paired(at_rho(here, 1.0), at_rho(here, rho), ["here", "loss"])
    part = both.interval(lambda s: (s[0] - s[2]) / (s[1] - s[3]), level)
    loss = float(anchor["loss"].to_numpy().sum()) / max(tokens, 1)
    every = float(at_rho(rows, 1.0)["tokens"].to_numpy().sum())
    return Stratum(order, name, tokens / every, loss, gain, rho_star, part)
