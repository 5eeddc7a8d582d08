import argparse

import pytest

from analysis.cli import init
from analysis.cli.init import register_init
from analysis.simulation.sweeps import Noise
from engram_sweep.config.scale import load_scale
from engram_sweep.errors import UserError
from engram_sweep.planning.plan import make_plan


def call(*words) -> int:
    parser = argparse.ArgumentParser()
    register_init(parser.add_subparsers())
    options = parser.parse_args(["init", *map(str, words)])
    return options.func(options)


@pytest.fixture(autouse=True)
def few_trials(monkeypatch):
    monkeypatch.setattr(init, "TRIALS", 20)
    monkeypatch.setattr(init, "HALVINGS", 2)


def test_hours_become_a_scale_that_plans(tmp_path, capsys):
    assert call("--cores", 2, "--hours", 1, "--sweeps", tmp_path) == 0
    out = capsys.readouterr().out
    scale = load_scale("mine", tmp_path)
    assert len(make_plan(scale).runs) == 7 * len(scale.sweep.seeds) + 3
    assert "finds a gain of 0.0139 nats/token over pure MoE in" in out
    assert "make plan SCALE=mine" in out


def test_louder_runs_need_more_seeds(tmp_path, capsys):
    hours = ["--gpus", 8, "--hours", 500, "--sweeps", tmp_path]
    call(*hours, "--to", "quiet", "--noise", 0.001)
    call(*hours, "--to", "loud", "--noise", 0.004)
    quiet, loud = (load_scale(name, tmp_path) for name in ("quiet", "loud"))
    assert len(quiet.sweep.seeds) == 2 < len(loud.sweep.seeds)
    # The same hours over more runs.
    assert loud.model.d_model < quiet.model.d_model
    assert not set(loud.sweep.seeds) & set(loud.sweep.anchor_seeds)


def test_a_design_that_cannot_tell_says_so(tmp_path, capsys):
    call("--cores", 2, "--hours", 5, "--sweeps", tmp_path, "--noise", 0.05)
    assert "none of them reaches 90%: expect a sweep that cannot tell" in capsys.readouterr().out
    assert len(load_scale("mine", tmp_path).sweep.seeds) == 5


def test_the_smallest_gain_is_found_as_often_as_promised(monkeypatch):
    monkeypatch.setattr(init, "TRIALS", 100)
    monkeypatch.setattr(init, "HALVINGS", 4)
    noise = Noise(run=0.002, anchor=1.4)
    smallest = init._smallest_gain(2, noise)
    assert init._power(smallest, 2, noise) >= 0.9
    assert init._power(smallest / 3, 2, noise) < 0.9


def test_nothing_is_written_if_nothing_fits(tmp_path):
    with pytest.raises(UserError, match=r"init: at d_model \d+ the 17 runs take"):
        call("--gpus", 1, "--hours", 0.01, "--sweeps", tmp_path)
    assert list(tmp_path.iterdir()) == []
