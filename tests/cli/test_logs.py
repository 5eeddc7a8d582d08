from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.io_wrapper import GetLogdirSubdirectories

from engram_sweep.cli.logs import command_of
from engram_sweep.cli.main import main
from engram_sweep.errors import UserError
from engram_sweep.launch.status import folder_of
from engram_sweep.planning.plan import Plan
from tests.conftest import call


def test_tensorboard_finds_every_run_by_a_name_that_people_read(
    smoke_results: Path, smoke_plan: Plan
) -> None:
    done = call("logs", "smoke", "--results", smoke_results, "--print")
    assert done.returncode == 0, done.stderr
    folder = smoke_results / "smoke" / "tensorboard"
    assert done.stdout.strip().endswith(f"-m tensorboard.main --logdir {folder}")
    found = sorted(Path(path).name for path in GetLogdirSubdirectories(str(folder)))
    assert len(found) == len(smoke_plan.runs)
    assert re.fullmatch(r"engram rho 0\.000 seed 0 \(\w{8}\)", found[0])
    # Again, with the links there.
    command_of("tensorboard", smoke_plan, smoke_results)
    assert len(list(folder.iterdir())) == len(smoke_plan.runs)


def test_wandb_sends_what_offline_runs_left_and_trackio_shows_its_folder(
    smoke_plan: Plan, tmp_path: Path
) -> None:
    for tracker in ("tensorboard", "wandb", "trackio"):
        with pytest.raises(UserError, match=f"no curves for {tracker} yet; .*: tensorboard"):
            command_of(tracker, smoke_plan, tmp_path)
    run = folder_of(smoke_plan.runs[0], tmp_path).path / "logs" / "wandb" / "offline-run-1-abc"
    run.mkdir(parents=True)
    assert command_of("wandb", smoke_plan, tmp_path) == (["wandb", "sync", str(run)], {})
    database = tmp_path / "smoke" / "trackio" / "smoke.db"
    database.parent.mkdir()
    database.touch()
    words, variables = command_of("trackio", smoke_plan, tmp_path)
    assert words == ["trackio", "show", "--project", "smoke"]
    assert variables == {"TRACKIO_DIR": str(database.parent)}


def test_the_command_is_run_with_its_variables(
    smoke_plan: Plan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    database = tmp_path / "smoke" / "trackio" / "smoke.db"
    database.parent.mkdir(parents=True)
    database.touch()
    words = ["logs", "smoke", "--with", "trackio", "--results", str(tmp_path)]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(words) == 2
    assert "trackio is not installed; " in capsys.readouterr().err
    tool = tmp_path / "trackio"
    tool.write_text(f'#!/bin/sh\necho "$TRACKIO_DIR $*" > {tmp_path}/said\nexit 5\n')
    os.chmod(tool, 0o755)
    assert main(words) == 5
    assert (tmp_path / "said").read_text() == f"{database.parent} show --project smoke\n"
