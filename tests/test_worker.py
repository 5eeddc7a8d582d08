"""A worker and its run folder: what it leaves there however an attempt ends."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from engram_sweep import worker
from engram_sweep.planning.plan import Plan
from engram_sweep.runs.folder import RunFolder
from engram_sweep.training.signals import Interrupted
from tests.examples import work_order


@pytest.fixture
def here(one_run: Plan, tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / one_run.runs[0].run_id)
    folder.write_work_order(work_order(one_run.runs[0], tmp_path, timeout_minutes=10))
    return folder


@pytest.fixture
def requeued(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One entry for each time that the worker put its job back into the queue."""
    times: list[None] = []
    monkeypatch.setattr(worker, "requeue", lambda: times.append(None))
    return times


def interrupt_after(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make training stop as if it was asked to, `seconds` after its start."""

    def train(*_: object) -> None:
        raise Interrupted("asked to stop after step 3 of 9")

    monkeypatch.setattr(worker, "_train", train)
    clock = iter([0.0])
    pretended = SimpleNamespace(monotonic=lambda: next(clock, seconds))
    monkeypatch.setattr(worker, "time", pretended)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run_id": 3}'])
def test_a_work_order_of_wrong_shape_is_a_failure_and_no_traceback(
    here: RunFolder, text: str
) -> None:
    (here.path / "run.json").write_text(text)
    worker.run(str(here.path))
    failure = here.failure()
    assert failure is not None
    assert failure["kind"] == "bad data"
    assert [attempt["ended"] for attempt in here.attempts()] == ["bad data"]


@pytest.mark.parametrize(("seconds", "kind"), [(30, "preempted"), (10 * 60 - 30, "timed out")])
def test_a_stop_near_the_time_limit_is_a_time_out(
    here: RunFolder,
    requeued: list[None],
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    kind: str,
) -> None:
    interrupt_after(seconds, monkeypatch)
    worker.run(str(here.path), inline=True)
    failure = here.failure()
    assert failure is not None
    assert failure["kind"] == kind
    assert failure["message"] == "asked to stop after step 3 of 9; goes on from step 0"
    [attempt] = here.attempts()
    assert (attempt["ended"], attempt["seconds"]) == (kind, seconds)


def test_a_preempted_job_is_requeued_as_often_as_it_may(
    here: RunFolder, requeued: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        interrupt_after(30, monkeypatch)
        worker.run(str(here.path), inline=True)
    assert len(requeued) == 3  # retries.preempted of the work order


def test_a_job_that_timed_out_without_progress_is_requeued_once(
    one_run: Plan, here: RunFolder, requeued: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    retries = {"timed_out": 9}
    order = work_order(one_run.runs[0], here.path, timeout_minutes=10, retries=retries)
    here.write_work_order(order)
    for _ in range(3):
        interrupt_after(10 * 60, monkeypatch)
        worker.run(str(here.path), inline=True)
    assert len(requeued) == 1


@pytest.mark.parametrize("own", [None, "/of/the/user"])
def test_all_runs_of_a_sweep_share_what_torch_compiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str | None
) -> None:
    variables = {} if own is None else {"TORCHINDUCTOR_CACHE_DIR": own}
    monkeypatch.setattr(worker.os, "environ", variables)
    worker._keep_compiled_code(tmp_path / "tiny", 1)
    assert variables["TORCHINDUCTOR_CACHE_DIR"] == (own or str(tmp_path / "tiny" / "compiled"))
    # This process compiles, no pool of others.
    assert variables["TORCHINDUCTOR_COMPILE_THREADS"] == "1"
