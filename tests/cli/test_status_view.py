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


def test_a_sweep_with_nothing_to_do_says_so(
    smoke_plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    done = [RunStatus(run, "done", validation_loss=1.0) for run in smoke_plan.runs]
    status_view.print_outcome("smoke", done, trained=False)
    assert capsys.readouterr().out == "smoke: nothing to do, 6 done of 6 runs\n"
    status_view.print_outcome("smoke", done, trained=True)
    assert capsys.readouterr().out == "smoke: 6 done of 6 runs\n"


def test_the_curve_so_far_stands_below_the_runs(
    smoke_plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, *others = smoke_plan.runs
    statuses = [
        RunStatus(first, "done", validation_loss=2.0),
        RunStatus(second, "running", step=1, steps=16, tokens_per_second=1e4, train_loss=3.25),
        *(RunStatus(run, "planned") for run in others),
    ]
    status_view.print_status("smoke", statuses)
    text = capsys.readouterr().out
    assert "3.250" in text
    assert "the curve so far" in text
    assert f"best so far: {first.spec.arm} at rho {first.spec.rho:.3f}, 2.0000" in text
    assert "to the end of the sweep" in text
    status_view.print_status("smoke", statuses[1:])
    assert "the curve so far" not in capsys.readouterr().out, "there is no loss yet"
