"""What runs at several learning rates and rho show: the best rate of each, and a tuned U.

A sweep trains all rho at one rate. What that costs a rho is its regret: its loss at that rate minus
its loss at its own best one. The gain over rho = 1 at tuned rates is the gain at one rate minus the
difference of two regrets, so that difference says how much of the gain is tuning.
"""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curve.bootstrap import DRAWS, percentile_interval
from analysis.curve.readings import Interval
from analysis.levels import LEVEL
from analysis.rates.parabolas import Lowest, Parabolas, fit_parabolas, lowest
from analysis.rates.rate_misfit import misfit
from analysis.runs.table import CURVE_ARMS, has_loss, with_checked_columns
from analysis.threads import one_thread
from engram_sweep.errors import UserError

SEED = 20260107372
"""Of the draws: the same table gives the same report."""
MIN_RATES = 3
"""Rates with a loss that a parabola needs."""
REACH = 2.0
"""Octaves from the rate of the lowest mean within which losses are fitted: further away they rise
faster than a parabola."""


@dataclass(frozen=True)
class BestRate:
    """What one rho wants; losses in nats/token."""

    rho: float
    """Share, realised."""
    runs: int
    """Runs that were fitted."""
    rates: tuple[float, ...]
    """Learning rates that were fitted, ascending."""
    left_out: tuple[float, ...]
    """Rates with a loss, but further than REACH from the lowest."""
    diverged: tuple[float, ...]
    """Rates at which a seed diverged."""
    best: Interval
    """The best learning rate; it and its limits lie within those that were fitted."""
    at_edge: bool
    """Whether it is the smallest or the largest of them, so that a better one may lie beyond."""
    at_one_rate: Interval
    """Loss at the sweep's rate."""
    tuned: Interval
    """Loss at the best rate."""
    regret: Interval
    """Loss at the sweep's rate minus that at the best one."""
    gain: Interval
    """Loss of rho = 1 minus that of this rho, all at the sweep's rate; None without rho = 1."""
    tuned_gain: Interval
    """The same, each at its best rate."""
    gain_by_tuning: Interval
    """How much of the gain goes if each gets its best rate: the first gain minus the second."""


@dataclass(frozen=True)
class TunedRates:
    """The rates of R values of rho."""

    one_rate: float
    """The sweep's learning rate."""
    each: tuple[BestRate, ...]
    """Every rho that has enough rates, ascending."""
    tuned_low_arm: Interval
    """Loss of the lowest rho minus that of `hybrid`, each at its best rate; None if it is one."""
    skipped: tuple[float, ...]
    """Values of rho with fewer than MIN_RATES rates, or without a loss at the sweep's rate."""
    misfit: float | None
    """P-value that the means scatter around the parabolas as runs do; None if nothing tests it."""
    seeds: int
    """Number of distinct seeds."""
    noise: float
    """Noise of a run below rho = 1, nats/token."""
    level: float
    """Nominal coverage of every interval."""

    @property
    def moe(self) -> BestRate | None:
        """The rates of rho = 1; None if it has too few."""
        return self.each[-1] if self.each[-1].rho == 1 else None

    @property
    def hybrid(self) -> BestRate | None:
        """The rho below 1 with the lowest loss at the sweep's rate; None if there is none."""
        hybrids = [one for one in self.each if one.rho < 1]
        return min(hybrids, key=lambda one: one.at_one_rate.value or np.inf, default=None)


@one_thread
def analyse_rates(
    table: pd.DataFrame,
    source: str,
    one_rate: float | None = None,
    level: float = LEVEL,
    draws: int = DRAWS,
) -> TunedRates:
    """Analyse a table of runs at several learning rates.

    Args:
        table: one row per run; its learning rate stands in `spec`, or in a column
            `learning_rate`.
        source: what to call the table in messages.
        one_rate: the sweep's learning rate; None takes the one that most runs have.
        level: nominal coverage of every interval.
        draws: draws behind the intervals.

    Raises:
        UserError: the table cannot be analysed; one line gives the reason.
    """
    runs = _checked(table, source)
    one_rate = _one_rate(runs, source) if one_rate is None else one_rate
    runs["octaves"] = np.log2(runs["learning_rate"] / one_rate)
    finite = runs.loc[has_loss(runs)]
    fitted, skipped = [], []
    for rho in sorted(runs["rho"].unique()):
        near = _near_lowest(finite.loc[finite["rho"] == rho])
        rates = set(near["octaves"].tolist())
        if len(rates) >= MIN_RATES and 0.0 in rates:
            fitted.append(near)
        else:
            skipped.append(float(rho))
    if not fitted:
        raise UserError(
            f"{source}: expected a rho with at least {MIN_RATES} learning rates near its best, "
            f"{one_rate:g} among them, got none"
        )
    used = pd.concat(fitted, ignore_index=True)
    loss, octaves, rho, seed = (
        used[name].to_numpy() for name in ("validation_loss", "octaves", "rho", "seed")
    )
    try:
        found = fit_parabolas(loss, octaves, rho, seed, draws, np.random.default_rng(SEED))
    except ValueError as error:
        raise UserError(f"{source}: {error}; another seed or rate measures the noise") from None
    ends = np.array([(here["octaves"].min(), here["octaves"].max()) for here in fitted])
    point = lowest(found.coefficients, *ends.T)
    drawn = lowest(found.drawn, *ends.T[:, :, None])
    each = _best_rates(runs, fitted, found, ends, point, drawn, one_rate, level)
    return TunedRates(
        one_rate=one_rate,
        each=each,
        tuned_low_arm=_low_arm(found, point, drawn, level),
        skipped=tuple(skipped),
        misfit=misfit(loss, octaves, rho, seed),
        seeds=len(set(used["seed"].tolist())),
        noise=found.sigma,
        level=level,
    )


def _near_lowest(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of one rho whose rates lie within REACH of that with the lowest mean."""
    octaves, at = np.unique(runs["octaves"].to_numpy(), return_inverse=True)
    if not len(octaves):
        return runs
    means = np.bincount(at, runs["validation_loss"].to_numpy()) / np.bincount(at)
    off = np.abs(runs["octaves"].to_numpy() - octaves[means.argmin()])
    return runs.loc[off <= REACH * (1 + 1e-9)]


def _checked(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return the runs along rho with their learning rates.

    Raises:
        UserError: a column is missing or holds something else, or a run is there twice.
    """
    # The search's own runs and those of the sweep that count are of two scales.
    runs = with_checked_columns(table.drop(columns="scale", errors="ignore"), source)
    runs = runs.loc[runs["arm"].isin(CURVE_ARMS)].reset_index(drop=True)
    if "learning_rate" not in runs:
        if "spec" not in runs:
            raise UserError(f"{source}: expected a column learning_rate or spec, got neither")
        runs["learning_rate"] = [_rate_of(spec, source) for spec in runs["spec"]]
    runs["learning_rate"] = pd.to_numeric(runs["learning_rate"], errors="coerce")
    if not (runs["learning_rate"] > 0).all():
        raise UserError(f"{source}: column 'learning_rate': expected numbers above 0")
    twice = np.flatnonzero(runs.duplicated(["rho", "learning_rate", "seed"]))
    if len(twice):
        row = runs.loc[twice[0]].to_dict()
        raise UserError(
            f"{source}: two runs at rho {row['rho']:g}, rate {row['learning_rate']:g}, seed "
            f"{row['seed']}; expected one each"
        )
    return runs


def _rate_of(spec: object, source: str) -> float:
    try:
        return float(json.loads(str(spec))["training"]["learning_rate"])
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{source}: column 'spec': expected a run's spec, got {spec!r:.40}"
        ) from None


def _one_rate(runs: pd.DataFrame, source: str) -> float:
    """Return the rate that most runs have.

    Raises:
        UserError: several rates have as many.
    """
    counts = runs["learning_rate"].value_counts()
    most = sorted(counts.index[counts == counts.max()])
    if len(most) > 1:
        tied = ", ".join(f"{rate:g}" for rate in most)
        raise UserError(
            f"{source}: {tied} have equally many runs; --rate names the sweep's learning rate"
        )
    return float(most[0])


def _best_rates(
    runs: pd.DataFrame,
    fitted: list[pd.DataFrame],
    found: Parabolas,
    ends: np.ndarray,
    point: Lowest,
    drawn: Lowest,
    one_rate: float,
    level: float,
) -> tuple[BestRate, ...]:
    """Read the best rate of every rho, its regret and its gain off the parabolas.

    Args:
        runs: all runs.
        fitted: the runs of each rho that were fitted.
        found: their parabolas.
        ends: octaves of the smallest and the largest rate of each rho, shape (R, 2).
        point: lowest points of the parabolas.
        drawn: those of the draws.
        one_rate: the sweep's rate.
        level: coverage of the intervals.
    """
    levels, drawn_levels = found.coefficients[0], found.drawn[0]

    def interval(values: np.ndarray, draws: np.ndarray) -> Interval:
        return percentile_interval(float(values), draws, level)

    each = []
    for at, here in enumerate(fitted):
        octaves = interval(point.octaves[at], drawn.octaves[at])
        regret = interval(point.regret[at], drawn.regret[at])
        if (octaves.low or 0.0) <= 0 <= (octaves.high or 0.0):
            # A lowest point is never above another, so draws alone would always claim a regret,
            # also of a rate that is the best one.
            regret = Interval(regret.value, 0.0, regret.high)
        gain = tuned_gain = by_tuning = Interval(None, None, None)
        if found.rho[-1] == 1:
            gain = interval(levels[-1] - levels[at], drawn_levels[-1] - drawn_levels[at])
            tuned_gain = interval(point.loss[-1] - point.loss[at], drawn.loss[-1] - drawn.loss[at])
            by_tuning = interval(
                point.regret[-1] - point.regret[at], drawn.regret[-1] - drawn.regret[at]
            )
        rates = sorted(here["learning_rate"].unique())
        all_here = runs.loc[runs["rho"] == found.rho[at]]
        lost = set(all_here.loc[~has_loss(all_here), "learning_rate"])
        each.append(
            BestRate(
                rho=float(found.rho[at]),
                runs=len(here),
                rates=tuple(rates),
                left_out=tuple(sorted(set(all_here["learning_rate"]) - set(rates) - lost)),
                diverged=tuple(sorted(lost)),
                best=Interval(*(_rate(one_rate, one) for one in vars(octaves).values())),
                at_edge=bool(np.isin(point.octaves[at], ends[at])),
                at_one_rate=interval(levels[at], drawn_levels[at]),
                tuned=interval(point.loss[at], drawn.loss[at]),
                regret=regret,
                gain=gain,
                tuned_gain=tuned_gain,
                gain_by_tuning=by_tuning,
            )
        )
    return tuple(each)


def _low_arm(found: Parabolas, point: Lowest, drawn: Lowest, level: float) -> Interval:
    """Return the tuned loss of the lowest rho minus that of the best hybrid at the sweep's rate."""
    hybrids = np.flatnonzero(found.rho < 1)
    if len(hybrids) < 2:
        return Interval(None, None, None)
    best = hybrids[found.coefficients[0, hybrids].argmin()]
    if best == 0:
        return Interval(None, None, None)
    value = float(point.loss[0] - point.loss[best])
    return percentile_interval(value, drawn.loss[0] - drawn.loss[best], level)


def _rate(one_rate: float, octaves: float | None) -> float | None:
    return None if octaves is None else one_rate * 2**octaves
