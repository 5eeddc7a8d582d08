from __future__ import annotations

import argparse
import json

import numpy as np
import pytest

from analysis.cli.power import register_power
from analysis.simulation.power import power, scaled
from analysis.simulation.sweeps import TRUTHS, Noise, simulate
from analysis.sweep.sweep_analysis import analyse_sweep
from engram_sweep.errors import UserError
from tests.examples import SWEEPS, write_scale

RHO = np.linspace(0.2, 1.0, 5)


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    register_power(parser.add_subparsers())
    options = parser.parse_args(["power", *words])
    return options.func(options)


@pytest.mark.parametrize("gain", [0.0, 0.004, 0.0139])
def test_the_truth_has_the_gain_asked_for(gain):
    truth = scaled(TRUTHS["paper"], gain)
    losses = truth.loss(np.linspace(0, 1, 4001))
    assert losses[-1] - losses.min() == pytest.approx(gain, abs=1e-9)
    assert truth.has_u == (gain > 0)


def test_power_grows_with_the_gain_and_falls_with_the_noise():
    little, much = (power(gain, RHO, 2, Noise(run=0.001), 30) for gain in (0.0005, 0.0139))
    assert much.gain == 1
    assert little.gain < 0.5
    assert power(0.004, RHO, 2, Noise(run=0.02), 30).gain < 0.5
    assert little.u <= little.gain + 0.1  # a U needs both ends to be worse


def test_no_gain_and_no_u_is_seldom_claimed():
    none = power(0.0, RHO, 3, Noise(run=0.001), 200)
    assert none.gain <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    assert none.u <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


@pytest.mark.parametrize(("noise", "all_do"), [(0.001, True), (0.006, False)])
def test_no_report_claims_a_gain_that_is_not_counted(noise, all_do):
    trials, claims = 10, 0
    for trial in range(trials):
        table = simulate(
            TRUTHS["paper"], RHO, 3, Noise(run=noise), np.random.default_rng([trial, 3, len(RHO)])
        )
        low = analyse_sweep(table, draws=400).gain_over_moe.low
        claims += low is not None and low > 0
    counted = power(0.0139, RHO, 3, Noise(run=noise), trials).gain
    assert claims / trials <= counted
    assert (counted == 1) == all_do


def test_the_command_answers_for_a_scale(tmp_path, capsys):
    write_scale(tmp_path)
    words = [
        "example",
        "--sweeps",
        str(tmp_path),
        "--trials",
        "3",
        "--seeds",
        "2",
        "--gain",
        "0.05",
    ]
    assert run(*words) == 0
    out = capsys.readouterr().out
    assert "2 seeds x 6 points tell a gain of 0.05 nats/token from 0 with 100% power" in out
    assert "2 seeds are enough for 90%" in out
    assert run(*words, "--json") == 0
    assert json.loads(capsys.readouterr().out)["power"] == {"2": 1.0}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["tiny", "--seeds", "1"], r"--seeds: expected at least 2"),
        (["tiny", "--gain", "0"], r"--gain: expected nats/token above 0, got 0"),
        (["tiny", "--noise", "nan"], r"--noise: expected nats/token above 0, got nan"),
        (["tiny", "--trials", "0"], r"--trials: expected at least 1"),
        (["moe-27B"], r"moe-27B\.yaml: sweep\.rho: expected rho = 1 and at least two below"),
    ],
)
def test_impossible_designs_are_one_line(words, says):
    with pytest.raises(UserError, match=says):
        run(*words, "--sweeps", str(SWEEPS))
