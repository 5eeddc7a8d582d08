"""Laws over single runs: noise that all share, a planted law, sizes that are dropped."""

import numpy as np
import pandas as pd
import pytest

from analysis.runs.conditions import split_conditions
from analysis.scaling.run_laws import (
    Runs,
    fit_longest_run_laws,
    fit_run_laws,
    group_of,
    noise_of_runs,
    runs_of_conditions,
)
from tests.analysis.scaling.test_raw_law import RHO, SIZES, planted
from tests.analysis.tables import limits, sweep


def simulated(noise=0.001, anchor=1.0, shift=0.0, seeds=3, seed=0):
    law, rng = planted("exponential"), np.random.default_rng(seed)
    size, rho, number = (
        axis.ravel() for axis in np.meshgrid(SIZES, RHO, np.arange(seeds), indexing="ij")
    )
    shifts = shift * rng.standard_normal((len(SIZES), seeds))
    at = np.searchsorted(SIZES, size)
    own = noise * np.where(rho == 1, anchor, 1.0) * rng.standard_normal(len(rho))
    loss = law.curves(size, rho) + own + shifts[at, number.astype(int)]
    return Runs(size + 4.0, rho, number.astype(int), loss)


def test_all_sizes_share_one_noise():
    quiet = noise_of_runs(simulated(0.002, shift=0.003, seeds=6))
    assert quiet is not None
    assert quiet.sigma == pytest.approx(0.002, rel=0.3)
    assert quiet.shift_sd == pytest.approx(0.003, rel=0.5)
    loud = noise_of_runs(simulated(0.002, anchor=6, seeds=6))
    assert loud is not None
    assert loud.kappa_quantiles(np.array([0.5]))[0] == pytest.approx(6, rel=0.5)
    # Without a second run below rho = 1 nothing measures the noise.
    assert noise_of_runs(simulated(seeds=1)) is None


def test_groups_are_seeds_of_a_size():
    runs = simulated(seeds=2)
    group = group_of(runs)
    assert len(set(group)) == 2 * len(SIZES)
    same = (runs.size[:, None] == runs.size) & (runs.seed[:, None] == runs.seed)
    assert np.array_equal(group[:, None] == group, same)


def test_a_planted_law_is_held_by_its_interval():
    runs = simulated(0.001, shift=0.001)
    noise = noise_of_runs(runs)
    assert noise is not None
    laws = fit_run_laws(runs, noise, "tokens_per_active", 0.9, draws=20)
    assert laws.in_play
    true, _ = planted("exponential").optimum_and_gain(2.0, 0.0)
    low, _, high = limits(laws.predict(6.0).rho_star)
    assert low <= true <= high
    assert laws.span == (-1.5, 1.5)


def test_the_shortest_size_is_dropped_if_every_law_fails_with_it():
    runs = simulated(0.001)
    runs.loss[runs.size == 3.0] += 0.05 * np.sin(9 * runs.rho[runs.size == 3.0])
    found = fit_longest_run_laws(runs, "tokens_per_active", 0.9, draws=10)
    assert found is not None
    laws, _, kept = found
    assert set(kept.size) == {4.0, 5.0, 6.0}
    assert laws.in_play
    # With three sizes there is none to drop.
    three = Runs(*(one[runs.size < 6] for one in (runs.size, runs.rho, runs.seed, runs.loss)))
    refuted = fit_longest_run_laws(three, "tokens_per_active", 0.9, draws=10)
    assert refuted is not None
    assert not refuted[0].in_play


def test_runs_of_conditions_are_those_with_a_loss_on_the_curve():
    rho = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    table = pd.concat(
        [sweep(rho=rho, seeds=1).assign(tokens_per_active=float(value)) for value in (8, 16)],
        ignore_index=True,
    )
    table.loc[3, ["validation_loss", "outcome"]] = [np.nan, "diverged"]
    table.loc[9, "arm"] = "one_row"
    runs = runs_of_conditions(split_conditions(table, "t"), "tokens_per_active")
    assert runs.size.tolist() == [3.0] * 4 + [4.0] * 4
    assert runs.rho.tolist() == [0.0, 0.25, 0.5, 1.0, 0.0, 0.25, 0.5, 0.75]
    assert runs.loss.tolist() == table["validation_loss"].drop([3, 9]).tolist()
