"""A bounded part of the sweep that `python -m analysis.simulation.coverage` runs in full."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.simulation.coverage import QUANTITIES, main, measure
from analysis.simulation.sweeps import TRUTHS, Noise
from analysis.simulation.worlds import WORLDS, World
from tests.analysis.tables import NINE

SWEEPS = 40
SLACK = 3 * np.sqrt(0.9 * 0.1 / SWEEPS)  # 3 SD of a binomial


@pytest.mark.parametrize(("truth", "power"), [("paper", 0.9), ("symmetric", 0.65)])
def test_a_nominal_90_percent_covers(truth, power):
    world = World(truth, TRUTHS[truth], NINE, noise=Noise(run=0.002, windows=64))
    found = measure(world, SWEEPS, seed=11, draws=300)
    for name in QUANTITIES:
        assert found.covered[name] >= 0.85 - SLACK, (name, found)
    assert np.mean([found.covered[name] for name in QUANTITIES]) <= 0.97  # not bought with width
    assert abs(found.rho_bias) < 0.01 + 3 * found.rho_spread / np.sqrt(SWEEPS)
    assert found.verdicts["u_supported"] > power


@pytest.mark.parametrize("truth", ["flat", "edge_memory", "plateau"])
def test_no_gain_and_no_u_is_claimed_where_there_is_none(truth):
    found = measure(World(truth, TRUTHS[truth], NINE), SWEEPS // 2, seed=12, draws=300)
    assert found.verdicts.get("u_supported", 0) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / (SWEEPS // 2))
    assert found.covered["gain"] >= 0.85 - 3 * np.sqrt(0.09 / (SWEEPS // 2))


def test_the_command_prints_a_table(capsys):
    assert (
        main(["--sweeps", "2", "--truths", "paper", "--windows", "0", "--worlds", "t3 noise"]) == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert len({line.count("|") for line in lines[:4]}) == 1
    assert lines[4:] == [
        "",
        "Outside 85% to 95% beyond chance (p < 0.01; at an end, below only): none",
    ]


def test_a_kink_is_held_by_a_single_dip_and_told_of():
    found = measure(WORLDS["left kink, 5 seeds"], 12, seed=3, draws=150)
    share, width = found.single_dip
    assert share >= 0.8
    assert width > found.width["rho_star"]
    assert found.warned >= found.corner > 0.2
    plain = measure(World("flat", TRUTHS["flat"], NINE), 2, draws=50)
    assert np.isnan(plain.single_dip[0])


def test_a_truth_at_an_end_is_held_to_a_floor_only():
    edge = measure(World("edge_memory", TRUTHS["edge_memory"], NINE), 5, seed=1, draws=50)
    assert edge.one_sided == {"rho_star", "near_low", "break_even"}
    assert measure(World("flat", TRUTHS["flat"], NINE), 1, draws=20).one_sided >= {
        "gain",
        "near_low",
        "near_high",
    }
    assert not measure(World("paper", TRUTHS["paper"], NINE), 1, draws=20).one_sided
    covered = {
        "gain": 0.98,
        "rho_star": 1.0,
        "near_low": 0.7,
        "near_high": 0.93,
        "break_even": np.nan,
    }
    assert replace(edge, sweeps=1000, covered=covered).outside == ("gain", "near_low")
    assert replace(edge, sweeps=10, covered=covered).outside == ()
