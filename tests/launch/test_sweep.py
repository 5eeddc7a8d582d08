"""What a sweep checks and lays out before it trains."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from engram_sweep.errors import UserError
from engram_sweep.launch.sweep import sweep
from engram_sweep.planning.plan import Plan
from engram_sweep.runs.records import runs_folder
from tests.conftest import call, write_two_runs


def test_a_refused_sweep_leaves_nothing(one_run: Plan, tmp_path: Path) -> None:
    results = tmp_path / "results"
    (results / "smoke").mkdir(parents=True)
    (results / "smoke").chmod(0o777)
    with pytest.raises(UserError, match="nobody else may write"):
        sweep(one_run, results, lambda statuses: None)
    assert [path.name for path in results.rglob("*")] == ["smoke"]


def test_run_folders_are_the_user_s_alone_unless_the_scale_says_otherwise(tmp_path: Path) -> None:
    """Records of a group's results are read by the group, those that were written before too."""
    sweeps = write_two_runs(tmp_path / "sweeps")
    words = ("sweep", "smoke", "--sweeps", sweeps, "--results", tmp_path / "results")
    assert call(*words).returncode == 0
    records = sorted(runs_folder(tmp_path / "results", "smoke").glob("*/record.parquet"))
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in records} == {0o700}
    with (sweeps / "smoke.yaml").open("a") as file:
        file.write("results:\n  group_readable: true\n")
    records[0].unlink()
    assert call(*words).returncode == 0
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in records} == {0o750}
    assert {stat.S_IMODE(path.stat().st_mode) for path in records} == {0o640}
