"""What a running sweep looks like, on a terminal and when piped."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from engram_sweep.cli import watch_view
from engram_sweep.cli.watch_view import Watch
from engram_sweep.launch.status import RunStatus
from engram_sweep.planning.plan import Plan


def test_a_piped_watch_prints_changes_only(
    smoke_plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    run = smoke_plan.runs[0]
    with Watch(smoke_plan) as watch:
        for state in ("planned", "running", "running", "done"):
            watch.update([RunStatus(run, state, validation_loss=1.25)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].endswith(f"seed {run.spec.seed} running")
    assert lines[1].endswith("done validation loss 1.2500")
    assert f"1/1 runs; best so far: {run.spec.arm} at rho" in lines[2]


def test_a_reason_to_wait_is_said_once_however_often_the_queue_changes_its_mind(
    smoke_plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    run = smoke_plan.runs[0]
    with Watch(smoke_plan) as watch:
        for waits in ("Priority", "Resources", "Priority", "Resources", "Priority"):
            watch.update([RunStatus(run, "queued", waiting=waits)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition("queued ")[2] for line in lines] == [
        "(waits: Priority)",
        "(waits: Resources)",
    ]


@pytest.mark.parametrize(("width", "has_plot"), [(120, True), (80, True), (40, False)])
def test_a_terminal_shows_bars_losses_time_left_waits_and_the_curve(
    smoke_plan: Plan, monkeypatch: pytest.MonkeyPatch, width: int, has_plot: bool
) -> None:
    out = io.StringIO()
    screen = Console(file=out, force_terminal=True, width=width, height=60, color_system=None)
    monkeypatch.setattr(watch_view, "Console", lambda **options: screen)
    first, second, third, fourth, *_ = smoke_plan.runs
    with Watch(smoke_plan) as watch:
        watch.update(
            [
                RunStatus(first, "running", step=4, steps=16, tokens_per_second=1e3,
                          train_loss=4.321, live=True),
                RunStatus(second, "queued", waiting="QOSMaxJobsPerUserLimit", live=True),
                RunStatus(third, "done", validation_loss=3.5),
                RunStatus(fourth, "done", validation_loss=3.75),
            ]
        )  # fmt: skip
    text = out.getvalue()
    assert "1 wait: QOSMaxJobsPerUserLimit" in text
    assert "3.5000" in text
    assert "best so far: " in text
    assert "to the end of the" in text
    assert ("●" in text) == has_plot
    if width == 120:
        assert "loss 4.321, 1,000 tokens/s" in text


def test_a_run_that_ended_has_no_bar(smoke_plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(watch_view, "Console", lambda **options: screen)
    run = smoke_plan.runs[0]
    with Watch(smoke_plan) as watch:
        watch.update([RunStatus(run, "running", step=1, steps=16)])
        assert run.run_id in watch.tasks
        watch.update([RunStatus(run, "done", validation_loss=1.0)])
        assert list(watch.tasks) == [""]


def test_many_running_runs_leave_room_for_the_curve(
    smoke_plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    screen = Console(file=out, force_terminal=True, width=100, height=40, color_system=None)
    monkeypatch.setattr(watch_view, "Console", lambda **options: screen)
    monkeypatch.setattr(watch_view, "MAX_BARS", 2)
    with Watch(smoke_plan) as watch:
        watch.update([RunStatus(run, "running", step=1, steps=16) for run in smoke_plan.runs])
    text = out.getvalue()
    assert "and 4 more that run" in text
    assert text.count("starting") == 2
