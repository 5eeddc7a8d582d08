from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from engram_sweep.errors import UserError
from engram_sweep.launch import notice as module
from engram_sweep.launch.notice import VARIABLES, Notice
from engram_sweep.launch.status import RunStatus
from engram_sweep.launch.sweep import sweep
from engram_sweep.planning.plan import Plan
from engram_sweep.runs.failures import Failure

SAY = f"""{sys.executable} -c '
import json, os
print(json.dumps({{k: v for k, v in os.environ.items() if k.startswith("ENGRAM_SWEEP_")}}))' >> """
"""Appends what it was given to the file whose name follows."""

FAILURE = Failure(kind="bug", message='$(touch /tmp/never) "; `rm`\0', log=[], at="now")


def said(path: Path) -> list[dict[str, str]]:
    return [
        {key.removeprefix("ENGRAM_SWEEP_"): value for key, value in json.loads(line).items()}
        for line in path.read_text().splitlines()
    ]


def test_the_end_and_the_first_failure_are_told(smoke_plan: Plan, tmp_path: Path) -> None:
    told = Notice(SAY + str(tmp_path / "said"), "smoke", tmp_path / "smoke")
    first, second, *others = smoke_plan.runs
    failed = RunStatus(first, "failed", failure=FAILURE)
    done = [RunStatus(run, "done", validation_loss=2.0) for run in (second, *others)]
    told.failed(failed)
    told.failed(RunStatus(second, "failed", failure=FAILURE))
    told.ended([failed, *done])
    told.ended(done)
    told.stopped(UserError("the queue refuses"))
    run_failed, ended, finished, stopped = said(tmp_path / "said")
    assert run_failed["EVENT"] == "run_failed"
    assert run_failed["RUN_ID"] == first.run_id
    assert run_failed["REASON"] == 'bug: $(touch /tmp/never) "; `rm` ', "as text, never as code"
    assert (ended["EVENT"], ended["DONE"], ended["FAILED"]) == ("failed", "5", "1")
    assert (finished["EVENT"], finished["RUNS"], finished["REASON"]) == ("finished", "5", "")
    assert finished["BEST"].endswith(" 2.0000")
    assert (stopped["EVENT"], stopped["REASON"]) == ("stopped", "the queue refuses")
    assert all(
        {f"ENGRAM_SWEEP_{key}" for key in one} == set(VARIABLES) for one in said(tmp_path / "said")
    )


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("exit 3", "exit code 3: it printed nothing"),
        ("echo first >&2; echo 'no such host' >&2; exit 1", "exit code 1: no such host"),
        ("/no/such/command", "exit code 127: "),
        ("sleep 30", "timed out"),
        ("kill -9 $$", "exit code -9"),
    ],
)
def test_a_command_that_fails_is_one_line(
    command: str,
    line: str,
    smoke_plan: Plan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.2 if "sleep" in command else 20)
    Notice(command, "smoke", tmp_path).ended([RunStatus(smoke_plan.runs[0], "planned")])
    err = capsys.readouterr().err
    assert err.startswith("launch.notify: ")
    assert line in err
    assert err.count("\n") == 1


def test_without_a_command_nothing_runs(
    smoke_plan: Plan, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Notice(None, "smoke", tmp_path).ended([RunStatus(smoke_plan.runs[0], "planned")])
    assert capfd.readouterr() == ("", "")


def test_a_sweep_tells_of_its_end_and_a_bad_command_does_not_hurt_it(
    one_run: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"{SAY}{tmp_path / 'said'}; exit 9"
    launch = one_run.scale.launch.model_copy(update={"notify": command})
    scale = one_run.scale.model_copy(update={"launch": launch})
    plan = Plan(scale, one_run.runs, one_run.asked)
    (status,) = sweep(plan, tmp_path / "results", lambda statuses: None, "inline")
    assert status.state == "done"
    (one,) = said(tmp_path / "said")
    assert (one["EVENT"], one["DONE"], one["SCALE"]) == ("finished", "1", "smoke")
    assert "launch.notify: exit code 9" in capsys.readouterr().err
    sweep(plan, tmp_path / "results", lambda statuses: None, "inline")
    assert len(said(tmp_path / "said")) == 1, "nothing was left to do"
