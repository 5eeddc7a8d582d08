"""What the driver does with runs that did not end well, and with jobs that others submitted."""

from __future__ import annotations

from pathlib import Path

import pytest

from engram_sweep import worker
from engram_sweep.config.launch import Retries
from engram_sweep.launch.driver import Driver
from engram_sweep.launch.jobs import Job, noted_job, now
from engram_sweep.launch.status import RunStatus, Survey, counts, folder_of
from engram_sweep.launch.sweep import sweep
from engram_sweep.planning.plan import Plan, make_plan
from engram_sweep.runs.folder import RunFolder
from engram_sweep.runs.records import read_runs
from tests.conftest import call
from tests.launch.conftest import RETRIES, Pretended, folder_for, reach_step


def drive(plan: Plan, results: Path, executor: Pretended) -> RunStatus:
    driver = Driver(
        Survey(plan, results), executor, parallel=1, retries=RETRIES, timeout_minutes=60
    )
    return driver.run()[0]


def test_runs_start_in_the_order_of_their_places(
    smoke_plan: Plan, tmp_path: Path, pretended: Pretended
) -> None:
    for run in smoke_plan.runs:
        folder_of(run, tmp_path).path.mkdir(parents=True)
    pretended.work = lambda path: RunFolder(path).write_failure("out of memory", "again")
    drive(smoke_plan, tmp_path, pretended)
    by_place = sorted(smoke_plan.runs, key=lambda run: run.place)
    assert [path.name for path in pretended.folders] == [run.run_id for run in by_place]


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


def test_a_run_that_is_given_up_is_told_once_and_one_that_starts_again_is_not(
    one_run: Plan, tmp_path: Path, pretended: Pretended
) -> None:
    folder_for(one_run, tmp_path)
    pretended.work = lambda path: RunFolder(path).write_failure("bug", "again")
    told: list[tuple[str, int]] = []
    Driver(
        Survey(one_run, tmp_path),
        pretended,
        parallel=1,
        retries=RETRIES,
        timeout_minutes=60,
        gave_up=lambda status: told.append((status.run.run_id, len(pretended.folders))),
    ).run()
    assert told == [(one_run.runs[0].run_id, 1 + RETRIES.bug)]


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


def test_a_finished_sweep_does_nothing_and_says_so(smoke_results: Path) -> None:
    records = {path: path.stat().st_mtime_ns for path in smoke_results.rglob("*.parquet")}
    done = call("sweep", "smoke", "--results", smoke_results)
    assert done.returncode == 0
    assert "nothing to do, 6 done of 6 runs" in done.stdout
    assert records == {path: path.stat().st_mtime_ns for path in smoke_results.rglob("*.parquet")}


def test_records_say_what_was_planned(smoke_results: Path, smoke_plan: Plan) -> None:
    frame = read_runs("smoke", smoke_results).set_index("run_id")
    assert sorted(frame.index) == sorted(run.run_id for run in smoke_plan.runs)
    for run in smoke_plan.runs:
        row, planned = frame.loc[run.run_id], run.row()
        for name in (
            "arm",
            "rho",
            "rho_asked",
            "seed",
            "routed_experts",
            "tokens",
            "flops_per_token",
            "params_total",
        ):
            assert row[name] == planned[name], name
        memory = run.spec.geometry.memory
        sizes = [sum(order) for table in memory.rows for order in table] if memory else []
        assert [rows for table in row["table_rows"] for rows in table] == sizes
        touched = [rows for table in row["rows_touched"] for rows in table]
        assert all(0 < some <= all_ for some, all_ in zip(touched, sizes, strict=True))
    assert frame.corpus_fingerprint.nunique() == 1
    assert (frame.finished_at > frame.started_at).all()


def test_seeds_pair_and_differ(smoke_results: Path) -> None:
    frame = read_runs("smoke", smoke_results)
    losses = frame.pivot(index="rho", columns="seed", values="validation_loss")
    assert all(a != b for a, b in zip(losses[0], losses[1], strict=True))


def test_a_diverging_run_is_recorded_and_the_sweep_goes_on(
    smoke_plan: Plan, tmp_path: Path
) -> None:
    scale = smoke_plan.scale
    hot = scale.model_copy(
        update={
            "training": scale.training.model_copy(update={"learning_rate": 1e30, "tokens": 4096}),
            "sweep": scale.sweep.model_copy(update={"rho": (1.0, 0.0), "seeds": (0,)}),
        }
    )
    statuses = sweep(make_plan(hot), tmp_path, lambda statuses: None, executor="inline")
    assert counts(statuses)["diverged"] == 2
    frame = read_runs("smoke", tmp_path)
    assert frame.outcome.tolist() == ["diverged"] * 2
    assert frame.validation_loss.isna().all()
    again = sweep(make_plan(hot), tmp_path, lambda statuses: None, executor="inline")
    assert read_runs("smoke", tmp_path).equals(frame)
    assert [status.state for status in again] == ["diverged"] * 2, (
        "a result, not something to retry"
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("shards"), "bad data"),
        (MemoryError(), "out of memory"),
        (OSError(28, "No space left on device"), "node"),
        (RuntimeError("what"), "bug"),
    ],
)
def test_failures_have_a_class_and_are_tried_again_next_time(
    one_run: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(worker, "_train", fail)
        (status,) = sweep(one_run, tmp_path, lambda statuses: None, executor="inline")
    assert status.state == "failed"
    assert status.failure
    assert status.failure["kind"] == kind
    (status,) = sweep(one_run, tmp_path, lambda statuses: None, executor="inline")
    assert status.state == "done"


def test_a_vanishing_worker_is_started_again_so_often_and_no_more(
    one_run: Plan, tmp_path: Path, pretended: Pretended
) -> None:
    folder_of(one_run.runs[0], tmp_path).path.mkdir(parents=True)
    (status,) = Driver(
        Survey(one_run, tmp_path), pretended, parallel=1, retries=Retries(), timeout_minutes=60
    ).run()
    assert len(pretended.folders) == 3
    assert status.failure
    assert status.failure["kind"] == "node"


def test_a_worker_that_vanishes_at_its_time_limit_timed_out(
    one_run: Plan, tmp_path: Path, pretended: Pretended
) -> None:
    folder_of(one_run.runs[0], tmp_path).path.mkdir(parents=True)
    (status,) = Driver(
        Survey(one_run, tmp_path), pretended, parallel=1, retries=Retries(), timeout_minutes=0
    ).run()
    assert len(pretended.folders) == 1
    assert status.failure
    assert status.failure["kind"] == "timed out"


def test_no_more_workers_than_asked_for(
    smoke_plan: Plan, tmp_path: Path, pretended: Pretended
) -> None:
    """A worker that never ends keeps its place: with room for two, only two of six runs start."""
    rounds = []
    pretended.state = "running"
    for run in smoke_plan.runs:
        folder_of(run, tmp_path).path.mkdir(parents=True)

    def watch(statuses) -> None:
        rounds.append(len(pretended.folders))
        if len(rounds) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Driver(
            Survey(smoke_plan, tmp_path),
            pretended,
            parallel=2,
            retries=Retries(),
            timeout_minutes=60,
            watch=watch,
        ).run()
    assert rounds == [2, 2, 2, 2]
    assert pretended.state == "ended"


def test_runs_of_an_earlier_version_of_the_scale_stay_out_of_the_table(
    one_run: Plan, tmp_path: Path
) -> None:
    """Editing the YAML changes the runs.

    The old ones stay on disk and come back when the YAML does.
    """
    scale = one_run.scale
    edited = scale.model_copy(
        update={"training": scale.training.model_copy(update={"tokens": 4096})}
    )
    for plan in (one_run, make_plan(edited), one_run):
        sweep(plan, tmp_path, lambda statuses: None, executor="inline")
        assert read_runs("smoke", tmp_path).run_id.tolist() == [plan.runs[0].run_id]


def test_a_worker_that_aborts_for_want_of_memory_is_out_of_memory(
    one_run: Plan, tmp_path: Path, pretended: Pretended
) -> None:
    def abort(folder: Path) -> None:
        (folder / "job").mkdir()
        log = folder / "job" / "1_0_log.err"
        log.write_text("terminate called after throwing an instance of 'std::bad_alloc'\n")

    folder_of(one_run.runs[0], tmp_path).path.mkdir(parents=True)
    pretended.work = abort
    status = drive(one_run, tmp_path, pretended)
    assert len(pretended.folders) == 1
    assert status.failure
    assert status.failure["kind"] == "out of memory"
