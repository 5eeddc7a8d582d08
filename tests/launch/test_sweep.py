"""The driver's own decisions, on the real smoke sweep and with workers that do as they are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import submitit

from engram_sweep import worker
from engram_sweep.config.scale import Retries
from engram_sweep.config.slurm import Shape
from engram_sweep.launch.driver import Driver, sweep
from engram_sweep.launch.executors.local import LocalExecutor
from engram_sweep.launch.status import STATES, Survey, counts, folder_of, sweep_status
from engram_sweep.planning.plan import Plan, make_plan
from engram_sweep.runs.folder import Busy, RunFolder
from engram_sweep.runs.records import read_parquet, read_runs
from tests.conftest import call
from tests.launch.conftest import Pretended


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
    assert frame.corpus_fingerprint.nunique() == 1
    assert (frame.finished_at > frame.started_at).all()


def test_seeds_pair_and_differ(smoke_results: Path) -> None:
    frame = read_runs("smoke", smoke_results)
    losses = frame.pivot(index="rho", columns="seed", values="validation_loss")
    assert all(a != b for a, b in zip(losses[0], losses[1], strict=True))


def test_an_exported_table_is_the_table(smoke_results: Path, tmp_path: Path) -> None:
    done = call("export", "smoke", tmp_path / "runs.parquet", "--results", smoke_results)
    assert done.returncode == 0, done.stderr
    assert "6 runs" in done.stdout
    assert read_parquet(tmp_path / "runs.parquet").equals(read_runs("smoke", smoke_results))
    refused = call("export", "smoke", tmp_path / "no" / "runs.parquet", "--results", smoke_results)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1


def test_status_json(smoke_results: Path) -> None:
    status = json.loads(call("status", "smoke", "--results", smoke_results, "--json").stdout)
    assert status["counts"] == {state: 6 * (state == "done") for state in STATES}
    assert all(run["validation_loss"] > 0 for run in status["runs"])


def test_watching_a_finished_sweep_prints_a_line_per_run_and_ends(smoke_results: Path) -> None:
    watched = call("status", "smoke", "--results", smoke_results, "--watch")
    assert watched.returncode == 0, watched.stderr
    assert watched.stdout.count(" done validation loss ") == 6


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


def test_a_held_run_is_left_to_its_holder(one_run: Plan, tmp_path: Path) -> None:
    folder = folder_of(one_run.runs[0], tmp_path)
    folder.path.mkdir(parents=True)
    with folder.held():
        assert sweep_status(one_run, tmp_path)[0].state == "running"
        with pytest.raises(Busy), RunFolder(folder.path).held(patience=0.1):
            pass
        worker.run(str(folder.path))
        assert folder.failure() is None
    assert sweep_status(one_run, tmp_path)[0].state == "planned"


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


@pytest.mark.parametrize("gpus", [0, 2])
def test_a_worker_sees_the_gpus_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: int
) -> None:
    """Submitit is asked for them; without that it would hide every GPU, and the run would train on the CPU."""
    asked = {}

    def submit(self: submitit.LocalExecutor, *job: object) -> submitit.LocalJob:
        asked.update(self.parameters)
        return submitit.LocalJob(tmp_path, "1")

    monkeypatch.setattr(submitit.LocalExecutor, "submit", submit)
    LocalExecutor(5, Shape(gpus_per_node=gpus)).submit([tmp_path])
    assert asked["gpus_per_node"] == gpus


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
    """Editing the YAML changes the runs; the old ones stay on disk and come back when the YAML does."""
    scale = one_run.scale
    edited = scale.model_copy(
        update={"training": scale.training.model_copy(update={"tokens": 4096})}
    )
    for plan in (one_run, make_plan(edited), one_run):
        sweep(plan, tmp_path, lambda statuses: None, executor="inline")
        assert read_runs("smoke", tmp_path).run_id.tolist() == [plan.runs[0].run_id]
