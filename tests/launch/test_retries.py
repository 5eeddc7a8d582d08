"""What the driver does with runs that did not end well, and with jobs that others submitted."""

from __future__ import annotations

from pathlib import Path

import pytest

from engram_sweep.config.scale import Retries
from engram_sweep.launch.cancel import cancel
from engram_sweep.launch.driver import Driver
from engram_sweep.launch.jobs import Job, noted_job, now
from engram_sweep.launch.status import RunStatus, Survey, folder_of, sweep_status
from engram_sweep.planning.plan import Plan
from engram_sweep.runs.folder import RunFolder
from tests.launch.conftest import Pretended

RETRIES = Retries(node=1, preempted=3, timed_out=4, out_of_memory=0, bug=2, bad_data=0)


def folder_for(plan: Plan, results: Path) -> RunFolder:
    folder = folder_of(plan.runs[0], results)
    folder.path.mkdir(parents=True)
    return folder


def drive(plan: Plan, results: Path, executor: Pretended) -> RunStatus:
    driver = Driver(
        Survey(plan, results), executor, parallel=1, retries=RETRIES, timeout_minutes=60
    )
    return driver.run()[0]


def reach_step(folder: Path, step: int) -> None:
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "checkpoints" / f"step-{step:08d}-{'0' * 32}.pt").touch()


@pytest.mark.parametrize(
    ("kind", "attempts"),
    [
        ("node", 2),
        ("preempted", 4),
        ("timed out", 5),
        ("out of memory", 1),
        ("bug", 3),
        ("bad data", 1),
    ],
)
def test_a_failure_is_tried_again_as_often_as_its_class_allows(
    one_run: Plan, tmp_path: Path, pretended: Pretended, kind: str, attempts: int
) -> None:
    folder = folder_for(one_run, tmp_path)
    folder.write_failure(kind, "in an earlier sweep")

    def fail(path: Path) -> None:
        told = folder.failure()
        assert told is not None, "the last failure stands until an attempt starts"
        assert told["message"] == (
            "in an earlier sweep" if len(pretended.folders) == 1 else "again"
        )
        folder.start_attempt()
        reach_step(path, len(pretended.folders))
        folder.write_failure(kind, "again")

    pretended.work = fail
    status = drive(one_run, tmp_path, pretended)
    assert len(pretended.folders) == attempts
    assert status.state == ("preempted" if kind == "preempted" else "failed")
    assert status.failure
    assert status.failure["message"] == "again"


def test_a_run_that_times_out_without_progress_is_not_started_again(
    one_run: Plan, tmp_path: Path, pretended: Pretended
) -> None:
    folder = folder_for(one_run, tmp_path)

    def time_out(path: Path) -> None:
        reach_step(path, min(len(pretended.folders), 2))
        folder.write_failure("timed out", "once more")

    pretended.work = time_out
    drive(one_run, tmp_path, pretended)
    assert len(pretended.folders) == 3


def test_a_job_that_another_driver_submitted_is_watched_not_submitted_again(
    one_run: Plan, tmp_path: Path, pretended: Pretended
) -> None:
    folder = folder_for(one_run, tmp_path)
    Job(folder.path, pretended.name, "theirs", now()).note()
    pretended.state, looks = "running", []

    def watch(statuses: list[RunStatus]) -> None:
        looks.append(statuses[0].state)
        if len(looks) == 3:
            pretended.state = "ended"
            folder.write_failure("out of memory", "theirs")

    driver = Driver(
        Survey(one_run, tmp_path), pretended, 1, RETRIES, timeout_minutes=60, watch=watch
    )
    (status,) = driver.run()
    assert pretended.folders == []
    assert looks == ["running"] * 3 + ["failed"]
    assert status.state == "failed"
    job = noted_job(folder.path)
    assert job is not None
    assert job.id == "theirs"


@pytest.mark.parametrize("state", ["queued", "unknown"])
def test_a_run_in_a_queue_is_queued_and_preempted_where_it_was_before(
    one_run: Plan, tmp_path: Path, pretended: Pretended, state: str
) -> None:
    folder = folder_for(one_run, tmp_path)
    Job(folder.path, pretended.name, "1", now()).note()
    pretended.state = "queued" if state == "queued" else "unknown"
    assert sweep_status(one_run, tmp_path)[0].state == "queued"
    folder.write_failure("preempted", "for someone else")
    reach_step(folder.path, 7)
    (status,) = sweep_status(one_run, tmp_path)
    assert (status.state, status.step, status.live) == ("preempted", 7, True)


def test_a_queue_is_asked_once_for_all_runs_and_given_all_at_once(
    smoke_plan: Plan, tmp_path: Path, pretended: Pretended
) -> None:
    """Also, Ctrl-C leaves what waits in a queue alone."""
    pretended.queues, pretended.state = True, "queued"
    for run in smoke_plan.runs:
        folder_of(run, tmp_path).path.mkdir(parents=True)
    rounds = []

    def watch(statuses: list[RunStatus]) -> None:
        rounds.append(len(pretended.folders))
        if len(rounds) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Driver(
            Survey(smoke_plan, tmp_path), pretended, 1, RETRIES, timeout_minutes=60, watch=watch
        ).run()
    assert rounds == [6, 6, 6]
    assert pretended.asked == [6, 6], "two looks with jobs, one call each"
    assert pretended.state == "queued"


def test_a_cancelled_sweep_is_not_submitted_again_by_a_living_driver(
    one_run: Plan, tmp_path: Path, pretended: Pretended
) -> None:
    folder = folder_for(one_run, tmp_path)
    pretended.state, counted = "running", []

    def watch(statuses: list[RunStatus]) -> None:
        if statuses[0].live:
            counted.append(cancel("smoke", tmp_path))

    with pytest.raises(KeyboardInterrupt):
        Driver(
            Survey(one_run, tmp_path), pretended, 1, RETRIES, timeout_minutes=60, watch=watch
        ).run()
    assert counted == [1]
    assert pretended.folders == [folder.path]
    assert cancel("smoke", tmp_path) == 0
