"""The loop of an adaptive sweep, its trainings invented: stopped anywhere, it decides the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engram_sweep.errors import UserError
from engram_sweep.launch.status import RunStatus, sweep_status
from engram_sweep.planning.adaptive import Chosen, Design, Finished, Look, pilot_of, with_runs
from engram_sweep.planning.plan import Plan, PlannedRun, make_plan
from engram_sweep.runs.design_note import read_design
from engram_sweep.runs.records import FILE_NAME, noted_members, runs_folder, write_record
from engram_sweep.search import adaptive
from engram_sweep.search.adaptive import adaptive_sweep, begun, proposer
from tests.examples import scale
from tests.runs.test_records import values

START = datetime(2026, 1, 1, tzinfo=UTC)


def plan_with(**changes: object) -> Plan:
    rules = {"batch": 3, "looks": 3, "width": 0.2, "floor": 2}
    return make_plan(
        scale(
            training__tokens=None,
            sweep__rho=[1.0, 0.75, 0.5, 0.25, 0.0],
            sweep__tokens_per_active=[5, 10, 20],
            sweep__seeds=[0, 1, 2],
            sweep__design="adaptive",
            sweep__adaptive={**rules, **changes},
        )
    )


def loss_of(run: PlannedRun) -> float:
    """An invented loss that depends on the run alone."""
    return 1 + int(run.run_id[:6], 16) / 16**6


class Trainings:
    """Stands in for `launch.sweep.sweep`: writes records at once, one a minute, until it breaks."""

    def __init__(self, breaks_after: int | None = None) -> None:
        self.left, self.trained = breaks_after, []

    def __call__(
        self, plan: Plan, results: Path, watch: Callable, *args: object, **kwargs: object
    ) -> list[RunStatus]:
        statuses = sweep_status(plan, results)
        for run in (status.run for status in statuses if not status.finished):
            if self.left == 0:
                raise KeyboardInterrupt
            self.left = None if self.left is None else self.left - 1
            self.train(run, results)
        return sweep_status(plan, results)

    def train(self, run: PlannedRun, results: Path, diverged: bool = False) -> None:
        folder = runs_folder(results, run.scale) / run.run_id
        folder.mkdir(parents=True, exist_ok=True)
        before = len(list(runs_folder(results, run.scale).glob(f"*/{FILE_NAME}")))
        at = START + timedelta(minutes=before)
        changes = {
            "run_id": run.run_id,
            "rho": run.spec.rho,
            "seed": run.spec.seed,
            "outcome": "diverged" if diverged else "ok",
            "validation_loss": math.nan if diverged else loss_of(run),
            "started_at": at,
            "finished_at": at,
        }
        write_record(folder / FILE_NAME, values(**changes))
        self.trained.append(run.run_id)


def propose(design: Design, done: Sequence[Finished], number: int) -> Look:
    """Choose by the sum of losses, so that any other set of runs would choose others."""
    taken = {(run.cell, run.seed) for run in done}
    free = [
        (cell, seed)
        for cell in range(len(design.cells))
        for seed in design.seeds
        if (cell, seed) not in taken
    ]
    total = sum(run.loss for run in done if math.isfinite(run.loss))
    start = int(total * 1e6) % len(free)
    batch = tuple(
        Chosen(*free[(start + 7 * i) % len(free)], f"reason {i}") for i in range(design.rules.batch)
    )
    stop = number >= design.rules.looks
    return Look(total, f"saw {len(done)} runs", stop, () if stop else batch)


def go(plan: Plan, results: Path, trainings: Trainings) -> tuple[list[RunStatus], list[str]]:
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adaptive, "sweep", trainings)
        statuses = adaptive_sweep(plan, results, lambda statuses: None, said.append, propose)
    return statuses, said


def test_a_pilot_then_batches_each_with_its_reason(tmp_path: Path) -> None:
    plan, trainings = plan_with(), Trainings()
    statuses, said = go(plan, tmp_path, trainings)
    first = {run.run_id for run in pilot_of(plan).runs}
    assert set(trainings.trained[: len(first)]) == first
    assert len(trainings.trained) == len(set(trainings.trained)) == len(first) + 2 * 3
    assert {status.run.run_id for status in statuses} == set(trainings.trained)
    assert all(status.finished for status in statuses)
    looks = [line for line in said if line.startswith("look")]
    assert looks == [
        f"look {n} of at most 3: saw {len(first) + 3 * (n - 1)} runs" for n in (1, 2, 3)
    ]
    assert sum(": reason" in line for line in said) == 6
    assert noted_members(plan.scale.name, tmp_path) == set(trainings.trained)
    noted = read_design(plan.scale.name, tmp_path)
    assert noted is not None
    assert noted["rules"]["width"] == 0.2
    chosen = [run for look in noted["looks"] for run in look["runs"]]
    assert sorted(chosen) == sorted(trainings.trained[len(first) :])


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(stops=st.lists(st.integers(0, 12), max_size=3))
def test_stopped_anywhere_and_started_again_it_trains_the_same_runs(
    stops: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    plan = plan_with()
    whole = Trainings()
    _, said = go(plan, tmp_path_factory.mktemp("whole"), whole)
    results, trained = tmp_path_factory.mktemp("pieces"), []
    for stop in stops:
        part = Trainings(stop)
        try:
            go(plan, results, part)
        except KeyboardInterrupt:
            # Whatever else was noted is lost with the driver: the records are enough.
            (results / plan.scale.name / "sweep.json").unlink(missing_ok=True)
        trained += part.trained
    last = Trainings()
    statuses, again = go(plan, results, last)
    assert trained + last.trained == whole.trained
    assert again == said
    assert all(status.finished for status in statuses)


def test_the_rules_are_noted_before_the_first_run(tmp_path: Path) -> None:
    plan = plan_with()
    with pytest.raises(KeyboardInterrupt):
        go(plan, tmp_path, Trainings(0))
    noted = read_design(plan.scale.name, tmp_path)
    assert noted is not None
    assert noted["rules"]["width"] == 0.2
    with pytest.raises(UserError, match=r"width: expected 0\.2 as noted before the first run"):
        go(plan_with(width=0.5), tmp_path, Trainings())


def test_finished_runs_of_the_grid_are_not_trained_again_and_count(tmp_path: Path) -> None:
    plan = plan_with()
    before = Trainings()
    others = [run for run in plan.runs if run.run_id not in _ids(pilot_of(plan))][:4]
    for run in others:
        before.train(run, tmp_path)
    trainings = Trainings()
    _, said = go(plan, tmp_path, trainings)
    assert said[0].endswith(f"saw {len(pilot_of(plan).runs) + 4} runs")
    assert not set(trainings.trained) & set(before.trained)
    assert set(before.trained) <= (noted_members(plan.scale.name, tmp_path) or set())
    # A whole grid: nothing is trained, and it ends all the same.
    for run in plan.runs:
        if run.run_id not in {*before.trained, *trainings.trained}:
            before.train(run, tmp_path)
    statuses, again = go(plan, tmp_path, Trainings(0))
    assert all(status.finished for status in statuses)
    assert again == said


def test_a_run_that_failed_ends_it_before_the_look(tmp_path: Path) -> None:
    class Failing(Trainings):
        def __call__(
            self, plan: Plan, results: Path, watch: Callable, *args: object, **kwargs: object
        ) -> list[RunStatus]:
            lost = with_runs(plan, _ids(plan) - {plan.runs[0].run_id})
            super().__call__(lost, results, watch)
            return sweep_status(plan, results)

    statuses, said = go(plan_with(), tmp_path, Failing())
    assert sum(not status.finished for status in statuses) == 1
    assert said == []


def test_a_run_that_diverged_is_finished_and_has_no_loss(tmp_path: Path) -> None:
    plan, seen = plan_with(looks=1), []
    lost = pilot_of(plan).runs[0]
    trainings = Trainings()
    trainings.train(lost, tmp_path, diverged=True)

    def watching(design: Design, done: Sequence[Finished], number: int) -> Look:
        seen.extend(done)
        return propose(design, done, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adaptive, "sweep", trainings)
        adaptive_sweep(plan, tmp_path, lambda statuses: None, lambda line: None, watching)
    assert sum(math.isnan(run.loss) for run in seen) == 1
    assert len(seen) == len(pilot_of(plan).runs)


def test_status_shows_the_pilot_then_what_was_chosen(tmp_path: Path) -> None:
    plan = plan_with()
    assert _ids(begun(plan, tmp_path)) == _ids(pilot_of(plan))
    trainings = Trainings()
    go(plan, tmp_path, trainings)
    assert _ids(begun(plan, tmp_path)) == set(trainings.trained)


def test_what_chooses_is_an_entry_point() -> None:
    from analysis.adaptive.look import look

    assert proposer() is look
    with pytest.raises(UserError, match="expected an installed package with the entry point other"):
        proposer("other")


def _ids(plan: Plan) -> set[str]:
    return {run.run_id for run in plan.runs}
