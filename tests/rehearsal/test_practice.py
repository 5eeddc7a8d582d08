from __future__ import annotations

import gc
import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from engram_sweep.config.slurm import Shape
from engram_sweep.launch.jobs import Job
from engram_sweep.launch.status import RunStatus, folder_of
from engram_sweep.placement import Placement
from engram_sweep.planning.placement import place
from engram_sweep.planning.plan import Plan, make_plan
from engram_sweep.rehearsal import practice
from engram_sweep.rehearsal.practice import Practised, alone, compare, practise, slurm_is_here
from tests.examples import scale


def small() -> Plan:
    """Two runs of two processes, in two micro-batches."""
    return make_plan(
        scale(
            training__tokens=64 * 4 * 6,
            training__batch_windows=4,
            corpus__validation_share=0.0005,
            sweep__rho=[1.0, 0.4],
            sweep__seeds=[0],
            launch={
                "sustained_gflops": 1.0,
                "checkpoint_minutes": 0.001,
                "parallel": 1,
                "micro_windows": 1,
                "shard": "all",
                "slurm": {"nodes": 1, "processes_per_node": 2},
            },
        )
    )


def practised(**changes) -> Practised:
    values = {
        "run": small().runs[0],
        "launcher": "local",
        "mesh": "1 x 2",
        "outcome": "ok",
        "steps": 6,
        "attempts": 2,
        "was_killed": True,
        "losses": [3.0, 2.0],
    }
    return Practised(**values | changes)


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, True),
        ({"off": 1e-6}, True),
        ({"off": 1e-2}, False),
        ({"attempts": 1}, False),
        ({"attempts": 1, "was_killed": False}, True),
        ({"outcome": "diverged"}, False),
    ],
)
def test_a_run_holds_if_it_ended_well_came_back_and_lost_nothing(changes, holds: bool) -> None:
    assert practised(**changes).holds is holds


def test_losses_are_compared_where_both_trained_a_run() -> None:
    other = small().runs[1]
    found = [practised(), practised(run=other), practised(losses=[3.0])]
    compare(found, practised(losses=[3.0, 2.5]))
    assert found[0].off == pytest.approx(0.5)
    assert math.isnan(found[1].off)
    assert math.isnan(found[2].off)


def test_alone_are_the_same_runs_on_one_process() -> None:
    plan = small()
    single = alone(plan)
    assert [run.run_id for run in single.runs] == [run.run_id for run in plan.runs]
    assert place(single, Shape()) == Placement()
    assert place(plan, Shape(1, 2)) == Placement(1, 2, micro_windows=1)


def test_a_run_is_struck_once_and_only_when_it_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, struck = small(), []
    queue = SimpleNamespace(cancel=lambda jobs, force: struck.append((jobs, force)))
    monkeypatch.setattr(practice, "SCHEDULERS", {"local": SimpleNamespace(queue=queue)})
    victim = plan.runs[0]
    folder = folder_of(victim, tmp_path)
    job = Job(folder.path, "local", "here:1", "")
    strike = practice._Strike(victim.run_id, tmp_path)
    running = RunStatus(victim, "running", job=job)
    strike([running])
    assert not struck, "it has no checkpoint to go on from"
    folder.checkpoints.mkdir(parents=True)
    (folder.checkpoints / "step-00000002-abc.pt").touch()
    strike([RunStatus(victim, "queued", job=job), RunStatus(plan.runs[1], "running", job=job)])
    assert not struck
    strike([running])
    strike([running])
    assert struck == [([job], True)]


def test_slurm_is_requeued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(practice, "client", lambda *words, **options: asked.append(words) or "")
    plan = small()
    folder = folder_of(plan.runs[0], tmp_path)
    folder.checkpoints.mkdir(parents=True)
    (folder.checkpoints / "step-00000002-abc.pt").touch()
    strike = practice._Strike(plan.runs[0].run_id, tmp_path)
    job = Job(folder.path, "slurm", "7_1", "")
    strike([RunStatus(plan.runs[0], "running", job=job)])
    assert strike.done
    assert asked == [("scontrol", "requeue", "7_1")]


@pytest.mark.parametrize(("answer", "there"), [(None, False), ("DOWN", False), ("is UP", True)])
def test_a_slurm_that_does_not_answer_is_none(
    monkeypatch: pytest.MonkeyPatch, answer: str | None, there: bool
) -> None:
    monkeypatch.setattr(practice, "client", lambda *words, **options: answer)
    assert slurm_is_here() is there


# submitit leaves the processes that look after its workers to end by themselves.
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.slow
def test_a_twin_trains_is_killed_and_comes_back_with_the_losses_of_one_process(
    tmp_path: Path,
) -> None:
    plan = small()
    found = practise(plan, tmp_path / "mesh", "local", plan.runs)
    (reference,) = practise(alone(plan), tmp_path / "alone", "local", plan.runs[-1:])
    compare(found, reference)
    assert all(each.holds for each in found), found
    assert [each.was_killed for each in found] == [False, True]
    assert found[-1].attempts == 2
    assert found[-1].off < 1e-4
    assert {each.mesh for each in found} == {"1 x 2"}
    gc.collect()
