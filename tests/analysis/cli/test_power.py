from __future__ import annotations

import argparse
import json

import pytest

from analysis.cli.power import register_power
from analysis.sweep.sweep_analysis import analyse_sweep
from engram_sweep.errors import UserError
from tests.analysis.tables import sweep, write_runs
from tests.examples import SWEEPS, write_scale


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    register_power(parser.add_subparsers())
    options = parser.parse_args(["power", *words])
    return options.func(options)


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
    answer = json.loads(capsys.readouterr().out)
    assert answer["power"] == {"2": 1.0}
    assert answer["next_run"]["2"]["rho"] == 1


def test_a_loud_anchor_and_its_own_seeds_are_in_the_design(tmp_path, capsys):
    write_scale(tmp_path, sweep__anchor_seeds=[2, 3])
    words = ["example", "--sweeps", str(tmp_path), "--trials", "3", "--anchor-noise", "5"]
    assert run(*words, "--seeds", "2") == 0
    out = capsys.readouterr().out
    assert "2 seeds x 6 points and 2 more at rho = 1 tell a gain" in out
    assert "run noise 0.002, 5 times that at rho = 1); one more run is worth most at rho = 1" in out


def test_gain_and_noise_are_those_of_the_runs_that_are_finished(tmp_path, capsys):
    write_scale(tmp_path)
    runs = sweep()
    write_runs(tmp_path / "results", "example", runs)
    words = ["example", "--sweeps", str(tmp_path), "--results", str(tmp_path / "results")]
    few = ["--trials", "3", "--seeds", "2"]
    assert run(*words, *few, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    measured = analyse_sweep(runs)
    assert found["gain"] == pytest.approx(measured.gain_over_moe.value, rel=0.02)
    assert found["noise"] == pytest.approx(measured.means.sigma)
    # What is given comes first.
    assert run(*words, *few, "--gain", "0.05") == 0
    out = capsys.readouterr().out
    assert out.startswith("as example's finished runs have it: gain ")
    assert "tell a gain of 0.05 nats/token" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["tiny", "--seeds", "1"], r"--seeds: expected at least 2"),
        (["tiny", "--gain", "0"], r"--gain: expected nats/token above 0, .*got 0"),
        (
            ["tiny", "--gain", "1e-320"],
            r"--gain: expected .*, from 1e-09 to 1e\+06",
        ),
        (["tiny", "--noise", "1e308"], r"--noise: expected .* to 1e\+06, got 1e\+308"),
        (["tiny", "--anchor-noise", "inf"], r"--anchor-noise: expected a ratio .*, got inf"),
        (["tiny", "--seeds", "2", "1000000"], r"--seeds: expected at most 200, got 1000000"),
        (["tiny", "--trials", "1000000"], r"--trials: .*, at most 100,000, got 1000000"),
        (["tiny", "--noise", "nan"], r"--noise: expected nats/token above 0, .*got nan"),
        (["tiny", "--anchor-noise", "0"], r"--anchor-noise: expected a ratio above 0, .*got 0"),
        (["tiny", "--trials", "0"], r"--trials: expected at least 1"),
        (["tiny", "--set", "sweep.rho=[1,0.5]"], r"at least two below, got \[0\.5, 1\.0\]"),
        (["moe-27B"], r"moe-27B\.yaml: sweep\.rho: expected rho = 1 and at least two below"),
    ],
)
def test_impossible_designs_are_one_line(words, says):
    with pytest.raises(UserError, match=says):
        run(*words, "--sweeps", str(SWEEPS))
