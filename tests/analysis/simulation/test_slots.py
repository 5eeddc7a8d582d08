import numpy as np
import pytest

from analysis.simulation.slots import SIZES, WORLDS, SlotsNoise, main, measure_slots, simulate_slots
from tests.analysis.slots.conftest import EXACT

SWEEPS = 60


@pytest.mark.parametrize("world", WORLDS)
def test_without_noise_the_losses_are_those_of_the_world(world):
    table = simulate_slots(world, 2, SlotsNoise(run=0.0, seed=0.0), np.random.default_rng(0))
    engram = table[(table["arm"] == "engram") & (table["seed"] == 1)]
    np.testing.assert_allclose(engram["validation_loss"], WORLDS[world](SIZES))
    np.testing.assert_allclose(engram["rows_per_head_asked"], SIZES)


def test_runs_of_a_seed_share_its_shift():
    table = simulate_slots("flat", 4, EXACT, np.random.default_rng(0))
    losses = table.loc[table["arm"] == "engram", "validation_loss"].to_numpy(float)
    by_size = losses.reshape(len(SIZES), 4)
    assert np.ptp(by_size[0]) > 1e-3
    np.testing.assert_allclose(by_size - by_size[0], 0, atol=1e-8)


@pytest.mark.parametrize("world", ["line", "saturating"])
def test_the_slope_is_covered_and_the_bend_is_judged(world):
    """Three standard errors of 60 sweeps around 90 % and around a level of 5 %."""
    found = measure_slots(world, 3, SlotsNoise(), SWEEPS, draws=300)
    assert found.slope >= 0.9 - 3 * np.sqrt(0.09 / SWEEPS)
    assert found.difference >= 0.9 - 3 * np.sqrt(0.09 / SWEEPS)
    if world == "line":
        assert found.rejected <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / SWEEPS)
        assert found.holds_to == SIZES[-1]
    else:
        assert found.rejected >= 0.9
        assert found.holds_to < SIZES[-1]


def test_the_command_prints_a_table(capsys):
    assert main(["--sweeps", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(WORLDS)
    assert len({line.count("|") for line in lines}) == 1
