"""S: a driver is not deaf while it submits, and no refusal or cancellation passes it by."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from engram_sweep.launch import driver as driving
from engram_sweep.launch.driver import Driver
from engram_sweep.launch.driver_lock import mark_cancelled
from engram_sweep.launch.executors.protocol import Refused
from engram_sweep.launch.executors.registry import SCHEDULERS
from engram_sweep.launch.jobs import Job
from engram_sweep.launch.status import RunStatus, Survey
from engram_sweep.planning.plan import Plan
from tests.conftest import ROOT, command, write_two_runs
from tests.launch.conftest import RETRIES, Pretended, PretendedScheduler, folder_for


def drive(plan: Plan, results: Path, executor: Pretended) -> RunStatus:
    """One pass over a plan of one run."""
    survey = Survey(plan, results)
    return Driver(survey, executor, parallel=1, retries=RETRIES, timeout_minutes=60).run()[0]


def register(monkeypatch: pytest.MonkeyPatch, executor: Pretended) -> None:
    """Let the executor answer for its jobs."""
    monkeypatch.setitem(SCHEDULERS, executor.name, PretendedScheduler(executor))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The driver's clock, which its pauses set forward."""
    here = SimpleNamespace(now=0.0, pauses=[])

    def sleep(seconds: float) -> None:
        here.pauses.append(seconds)
        here.now += seconds

    fake = SimpleNamespace(monotonic=lambda: here.now, sleep=sleep)
    monkeypatch.setattr(driving, "time", fake)
    return here


def test_s3_submitting_is_no_looking(
    one_run: Plan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    clock: SimpleNamespace,
) -> None:
    """A sbatch of 16 s, or a run that trains inline for hours, must not deafen the driver."""
    folder, pretended = folder_for(one_run, tmp_path), Pretended()
    register(monkeypatch, pretended)

    def submit(path: Path) -> None:
        clock.now += 1000
        folder.write_failure("out of memory", "after long")

    pretended.work = submit
    drive(one_run, tmp_path, pretended)
    assert clock.pauses == [driving.POLL_SECONDS]


class Refusing(Pretended):
    """A queue that takes the first jobs and refuses some later ones."""

    queues = True

    def __init__(self, refused: int) -> None:
        super().__init__()
        self.refused = refused
        self.asked_at: list[float] = []

    def submit(self, folders: Sequence[Path]) -> list[Job]:
        self.asked_at.append(driving.time.monotonic())
        if 1 < len(self.asked_at) <= 1 + self.refused:
            raise Refused("no")
        return super().submit(folders)


@pytest.fixture
def lost_once(one_run: Plan, tmp_path: Path) -> Callable[[Path], None]:
    """Work that vanishes at its first attempt and fails for good at its second."""
    folder, attempts = folder_for(one_run, tmp_path), []

    def work(path: Path) -> None:
        attempts.append(path)
        if len(attempts) > 1:
            folder.write_failure("out of memory", "at last")

    return work


def test_s8_a_refusal_in_mid_sweep_is_tried_again(
    one_run: Plan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    clock: SimpleNamespace,
    lost_once: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    executor = Refusing(refused=2)
    register(monkeypatch, executor)
    executor.work = lost_once
    status = drive(one_run, tmp_path, executor)
    assert status.failure
    assert status.failure["message"] == "at last"
    assert len(executor.asked_at) == 4
    assert executor.asked_at[2] - executor.asked_at[1] >= driving.RETRY_SECONDS
    assert capsys.readouterr().err.count("no; tried again every 60 s, other runs go on") == 1


def test_s8_a_queue_that_refuses_for_an_hour_ends_the_sweep(
    one_run: Plan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    clock: SimpleNamespace,
    lost_once: Callable[[Path], None],
) -> None:
    executor = Refusing(refused=10_000)
    register(monkeypatch, executor)
    executor.work = lost_once
    with pytest.raises(Refused):
        drive(one_run, tmp_path, executor)
    assert clock.now > driving.MAX_REFUSED_SECONDS


def test_s5_a_driver_that_is_just_starting_is_cancelled_too(tmp_path: Path) -> None:
    """The mark is set before it has looked at anything, and after its command was given."""
    results, sweeps = tmp_path / "results", write_two_runs(tmp_path / "sweeps")
    (results / "smoke").mkdir(parents=True)
    words = command("sweep", "smoke", "--sweeps", sweeps, "--results", results)
    started = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    mark_cancelled(results / "smoke")
    started.communicate(timeout=120)
    assert started.returncode == 130
    assert not list(results.rglob("job.json"))
