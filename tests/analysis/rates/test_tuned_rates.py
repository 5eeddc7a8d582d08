from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.rates.tuned_rates import REACH, analyse_rates
from engram_sweep.errors import UserError
from tests.analysis.rates.worlds import OWN, World

WORLD = World()


def known(value: float | None) -> float:
    assert value is not None
    return value


def truth(at: int) -> tuple[float, float]:
    """Best octaves and the loss there."""
    grid = np.linspace(-2, 2, 40001)
    losses = WORLD.loss(at, grid)
    return float(grid[losses.argmin()]), float(losses.min())


def test_intervals_cover_planted_optima_about_as_often_as_they_say() -> None:
    """Of 60 tables with three rho each: best rate, regret, gain at tuned rates, tuning's share."""
    rng = np.random.default_rng(5)
    held: dict[str, int] = dict.fromkeys(("best", "regret", "tuned", "tuning"), 0)
    best, tuned = zip(*(truth(at) for at in range(3)), strict=True)
    regret = [WORLD.loss(at, 0.0) - tuned[at] for at in range(3)]
    for _ in range(60):
        result = analyse_rates(WORLD.table(rng), "tables", draws=400)
        assert result.one_rate == OWN, "most runs have it"
        for at, one in enumerate(reversed(result.each)):
            pairs = {"best": (one.best, OWN * 2 ** best[at]), "regret": (one.regret, regret[at])}
            if at:
                pairs["tuned"] = (one.tuned_gain, tuned[0] - tuned[at])
                pairs["tuning"] = (one.gain_by_tuning, regret[0] - regret[at])
            for name, (interval, true) in pairs.items():
                low, high = known(interval.low), known(interval.high)
                held[name] += low - 1e-12 <= true <= high + 1e-12
    counts = {"best": 180, "regret": 180, "tuned": 120, "tuning": 120}
    shares = {name: held[name] / count for name, count in counts.items()}
    assert all(0.8 <= share <= 0.98 for share in shares.values()), shares


def test_the_gain_at_one_rate_is_the_tuned_gain_plus_what_tuning_takes() -> None:
    result = analyse_rates(WORLD.table(np.random.default_rng(0)), "tables", draws=200)
    assert [one.rho for one in result.each] == [0.0, 0.5, 1.0]
    for one in result.each:
        regret = known(one.at_one_rate.value) - known(one.tuned.value)
        assert regret == pytest.approx(one.regret.value)
        by_tuning = known(one.gain.value) - known(one.tuned_gain.value)
        assert by_tuning == pytest.approx(one.gain_by_tuning.value)
    assert result.moe is result.each[-1]
    assert result.hybrid is result.each[1]
    difference = known(result.each[0].tuned.value) - known(result.each[1].tuned.value)
    assert result.tuned_low_arm.value == pytest.approx(difference)
    assert result.seeds == 5


def test_a_best_rate_beyond_the_search_is_said_and_not_extrapolated() -> None:
    world = replace(WORLD, best=(1.0, 3.0, 0.4), noise=0.001)
    result = analyse_rates(world.table(np.random.default_rng(0)), "tables", draws=200)
    assert [one.at_edge for one in result.each] == [False, True, False]
    far = result.each[1]
    assert far.best.value == far.best.high == pytest.approx(OWN * 2**1.5)
    assert far.rates[-1] == far.best.value


def test_a_rate_that_is_best_already_has_no_regret_beyond_noise() -> None:
    world = replace(WORLD, best=(0.0, 0.0, 0.0), lopsided=0.0)
    rng = np.random.default_rng(4)
    claimed = [
        known(one.regret.low) > 0
        for _ in range(40)
        for one in analyse_rates(world.table(rng), "tables", draws=200).each
    ]
    assert np.mean(claimed) < 0.2


def test_diverged_rates_are_named_and_far_ones_left_out() -> None:
    table = WORLD.table(np.random.default_rng(0), (-1, 0, 1, 0.5, 1.5, -2))
    gone = (table["learning_rate"] == OWN * 2**1.5) & (table["rho"] == 1)
    table.loc[gone & (table["seed"] == 0), "validation_loss"] = np.nan
    table["outcome"] = np.where(table["validation_loss"].isna(), "diverged", "ok")
    result = analyse_rates(table, "tables", draws=100)
    assert result.each[-1].diverged == (OWN * 2**1.5,)
    for one in result.each:
        octaves = np.log2(np.array(one.rates) / OWN)
        assert np.ptp(octaves) <= 2 * REACH
        assert set(one.left_out) <= {OWN / 4}
    assert OWN / 4 in result.each[1].left_out


def test_a_rho_without_enough_rates_is_skipped_and_named() -> None:
    table = WORLD.table(np.random.default_rng(0))
    few = table.loc[(table["rho"] != 0) | (table["learning_rate"] <= OWN)]
    result = analyse_rates(few, "tables", draws=100)
    assert result.skipped == (0.0,)
    assert len(result.each) == 2
    assert result.tuned_low_arm.value is None
    alone = few.loc[few["rho"] == 0.5]
    assert analyse_rates(alone, "tables", OWN, draws=100).moe is None


def test_rates_are_read_from_the_spec_of_records_of_two_scales() -> None:
    table = WORLD.table(np.random.default_rng(0))
    spec = [json.dumps({"training": {"learning_rate": rate}}) for rate in table["learning_rate"]]
    records = table.drop(columns="learning_rate").assign(spec=spec, scale="tiny.tune")
    records.loc[records["seed"] > 1, "scale"] = "tiny"
    assert analyse_rates(records, "a", draws=50) == analyse_rates(table, "b", draws=50)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="learning_rate"), "a column learning_rate or spec, got neither"),
        (lambda t: t.drop(columns="learning_rate").assign(spec="{}"), "column 'spec': expected"),
        (lambda t: t.assign(learning_rate=0.0), "expected numbers above 0"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "two runs at rho 1, rate 0.0075, seed 0"),
        (lambda t: t.loc[t["seed"] < 2], "equally many runs; --rate names"),
        (lambda t: t.loc[t["learning_rate"] >= OWN], "least 3 learning rates near its best"),
        (lambda t: t.loc[(t["seed"] == 0) & (t["rho"] == 1)].head(3), "measures the noise"),
    ],
)
def test_tables_that_cannot_be_analysed_are_one_line(change, words: str) -> None:
    table = WORLD.table(np.random.default_rng(0), (-1, 0, 1))
    one_rate = OWN if "measures" in words else None
    with pytest.raises(UserError, match=words) as refused:
        analyse_rates(change(table), "tables", one_rate)
    assert "\n" not in str(refused.value)
