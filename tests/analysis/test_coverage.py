"""A bounded part of the study that `python -m analysis.coverage` runs in full."""

import numpy as np
import pytest

from analysis.coverage import QUANTITIES, main, measure
from analysis.simulate import TRUTHS, Noise
from tests.analysis.tables import NINE

SWEEPS = 40
SLACK = 3 * np.sqrt(0.9 * 0.1 / SWEEPS)  # 3 SD of a binomial


@pytest.mark.parametrize("truth", ["paper", "symmetric"])
def test_a_nominal_90_percent_covers(truth):
    found = measure(TRUTHS[truth], NINE, 3, Noise(run=0.002, windows=64), SWEEPS, seed=11, draws=300)
    for name in QUANTITIES:
        assert found.covered[name] >= 0.85 - SLACK, (name, found)
    assert np.mean([found.covered[name] for name in QUANTITIES]) <= 0.97  # not bought with width
    assert abs(found.rho_bias) < 0.01 + 3 * found.rho_spread / np.sqrt(SWEEPS)
    assert found.verdicts["u_supported"] > 0.8


@pytest.mark.parametrize("truth", ["flat", "edge_memory", "plateau"])
def test_no_gain_and_no_u_is_claimed_where_there_is_none(truth):
    found = measure(TRUTHS[truth], NINE, 3, Noise(run=0.002), SWEEPS // 2, seed=12, draws=300)
    assert found.verdicts.get("u_supported", 0) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / (SWEEPS // 2))
    assert found.covered["gain"] >= 0.85 - 3 * np.sqrt(0.09 / (SWEEPS // 2))


def test_the_command_prints_a_table(capsys):
    assert main(["--sweeps", "2", "--truths", "paper", "flat", "--windows", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
