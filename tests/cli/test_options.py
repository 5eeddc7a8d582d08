from __future__ import annotations

import argparse

import pytest

from engram_sweep.cli.options import add_command, add_launch_options, plan_of
from tests.conftest import SWEEPS


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_launch_options(add_command(parser.add_subparsers(), "go", "a command", lambda _: 0))
    return parser.parse_args(["go", "tiny", "--sweeps", str(SWEEPS), *words])


def test_full_takes_the_full_sweep_of_the_scale() -> None:
    assert len(plan_of(parse("--full")).runs) > len(plan_of(parse()).runs)


@pytest.mark.parametrize(("value", "dry"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_dry_run_may_stand_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str, dry: bool
) -> None:
    monkeypatch.setenv("DRY_RUN", value)
    assert parse().dry_run is dry
    assert parse("--dry-run").dry_run is True


def test_an_executor_on_the_line_wins_over_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EXECUTOR", "slurm")
    assert parse().executor == "slurm"
    assert parse("--executor", "inline").executor == "inline"
