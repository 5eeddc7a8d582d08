"""What a person reads of a sweep's runs, when the output is piped."""

from __future__ import annotations

import pytest

from engram_sweep.cli import status_view
from engram_sweep.launch.status import RunStatus
from engram_sweep.planning.plan import Plan
from engram_sweep.runs.failures import Failure

FAILURE = Failure(kind="node", message="it [went] away", log=["first", "[last]"], at="")


@pytest.fixture
def failed_and_planned(smoke_plan: Plan) -> list[RunStatus]:
    first, *others = smoke_plan.runs
    return [
        RunStatus(first, "failed", step=3, steps=9, failure=FAILURE),
        *(RunStatus(run, "planned") for run in others),
    ]


def test_a_failed_run_is_listed_with_the_end_of_its_log(
    failed_and_planned: list[RunStatus], capsys: pytest.CaptureFixture[str]
) -> None:
    status_view.print_status("smoke", failed_and_planned)
    text = capsys.readouterr().out
    assert "smoke: 5 planned, 1 failed of 6 runs" in text
    assert "node: it [went] away" in text  # brackets are text, not colours
    assert "3/9" in text
    assert [line.strip() for line in text.splitlines()][-2:] == ["first", "[last]"]


def test_of_many_runs_those_that_need_no_look_are_counted(
    failed_and_planned: list[RunStatus], capsys: pytest.CaptureFixture[str]
) -> None:
    failed, planned = failed_and_planned[:2]
    status_view.print_status("smoke", [failed, *[planned] * 300])
    text = capsys.readouterr().out
    assert "300 runs that are planned, queued, done are not listed" in text
    assert text.count(planned.run.run_id[:8]) == 0
    assert text.count(failed.run.run_id[:8]) == 2


def test_a_piped_watch_prints_changes_only(
    failed_and_planned: list[RunStatus], smoke_plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    run = smoke_plan.runs[0]
    with status_view.Watch(smoke_plan) as watch:
        for state in ("planned", "running", "running", "done"):
            watch.update([RunStatus(run, state, validation_loss=1.25)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith(f"seed {run.spec.seed} running")
    assert lines[1].endswith("done validation loss 1.2500")


def test_a_sweep_with_nothing_to_do_says_so(
    smoke_plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    done = [RunStatus(run, "done", validation_loss=1.0) for run in smoke_plan.runs]
    status_view.print_outcome("smoke", done, trained=False)
    assert capsys.readouterr().out == "smoke: nothing to do, 6 done of 6 runs\n"
    status_view.print_outcome("smoke", done, trained=True)
    assert capsys.readouterr().out == "smoke: 6 done of 6 runs\n"
