from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from engram_sweep.config.scale import Scale
from engram_sweep.errors import UserError
from engram_sweep.launch.status import RunStatus, sweep_status
from engram_sweep.launch.sweep import sweep
from engram_sweep.planning.plan import Plan, PlannedRun, make_plan
from engram_sweep.runs.records import FILE_NAME, noted_members, read_runs, runs_folder, write_record
from engram_sweep.search import learning_rate
from engram_sweep.search.learning_rate import (
    Trial,
    best,
    losses_on_disk,
    probes,
    trial_plan,
    tune,
)
from engram_sweep.search.rate_study import SPAN
from tests.runs.test_records import values


@pytest.fixture
def short(smoke_plan: Plan) -> Scale:
    """The smoke scale with two steps a run."""
    training = smoke_plan.scale.training.model_copy(update={"tokens": 2048})
    return smoke_plan.scale.model_copy(update={"training": training})


def with_sweep(scale: Scale, **changes: object) -> Scale:
    return scale.model_copy(update={"sweep": scale.sweep.model_copy(update=changes)})


def quiet(statuses: list[RunStatus]) -> None:
    pass


class Trainings:
    """Stands in for `launch.sweep.sweep`: writes records at once, until it breaks."""

    def __init__(self, breaks_after: int | None = None) -> None:
        self.left, self.trained = breaks_after, []

    def __call__(
        self, plan: Plan, results: Path, watch: Callable, *args: object
    ) -> list[RunStatus]:
        for run in (status.run for status in sweep_status(plan, results) if not status.finished):
            if self.left == 0:
                raise KeyboardInterrupt
            self.left = None if self.left is None else self.left - 1
            train(run, results)
            self.trained.append(run.run_id)
        statuses = sweep_status(plan, results)
        watch(statuses)
        return statuses


def train(run: PlannedRun, results: Path) -> None:
    rate = run.spec.training.learning_rate
    loss = 1.2 + 0.01 * math.log2(rate / 0.02) ** 2 + 0.01 * run.spec.rho + 0.001 * run.spec.seed
    diverged = rate > 0.06
    folder = runs_folder(results, run.scale) / run.run_id
    folder.mkdir(parents=True, exist_ok=True)
    changes = {
        "run_id": run.run_id,
        "rho": run.spec.rho,
        "seed": run.spec.seed,
        "outcome": "diverged" if diverged else "ok",
        "validation_loss": math.nan if diverged else loss,
    }
    write_record(folder / FILE_NAME, values(**changes))


def test_a_search_that_is_asked_again_trains_nothing_again(short: Scale, tmp_path: Path) -> None:
    short = with_sweep(short, seeds=(0,))
    trials = tune(short, tmp_path, 2, quiet, executor="inline")
    own, seeds = short.training.learning_rate, {0}
    assert {trial.rho for trial in trials} == {1.0, 0.5, 0.0}
    assert [t.learning_rate for t in trials if t.rho == 1] == [own / 2, own]
    assert all(set(trial.losses) == seeds for trial in trials)
    records = {path: path.stat().st_mtime_ns for path in tmp_path.rglob(FILE_NAME)}
    assert len(records) == 3 * 2
    assert tune(short, tmp_path, 2, quiet, executor="inline") == trials
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob(FILE_NAME)} == records
    assert not (tmp_path / "smoke").exists(), "trials stay out of the sweep's own table"
    assert len(read_runs("smoke.tune", tmp_path)) == len(records)


def test_more_rates_go_on_from_those_that_are_there(
    short: Scale, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Trainings()
    monkeypatch.setattr(learning_rate, "sweep", whole)
    shown: list[int] = []
    few = tune(short, tmp_path, 3, lambda statuses: shown.append(len(statuses)))
    assert max(shown) == 3 * 2, "a round shows its own runs only"
    more = tune(short, tmp_path, 5, quiet)
    assert {(t.rho, t.learning_rate) for t in few} < {(t.rho, t.learning_rate) for t in more}
    assert len(more) == 3 * 5
    assert len(whole.trained) == len(set(whole.trained)) == 3 * 5 * 2
    own = short.training.learning_rate
    assert all(own / SPAN <= trial.learning_rate <= own * SPAN for trial in more)


@pytest.mark.parametrize("stop", [0, 1, 7, 11])
def test_interrupted_anywhere_it_ends_with_the_same_rates(
    short: Scale, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    parts = [Trainings(stop), Trainings()]
    monkeypatch.setattr(learning_rate, "sweep", parts[0])
    with pytest.raises(KeyboardInterrupt):
        tune(short, tmp_path, 4, quiet)
    monkeypatch.setattr(learning_rate, "sweep", parts[1])
    trials = tune(short, tmp_path, 4, quiet)
    trained = [run_id for part in parts for run_id in part.trained]
    assert len(trained) == len(set(trained)) == 3 * 4 * 2
    assert len(trials) == 3 * 4


def test_what_lies_on_disk_is_the_state_of_the_search(short: Scale, tmp_path: Path) -> None:
    """Rates of anyone count, half a rate is finished first, other scales' trials do not count."""
    own, seeds = short.training.learning_rate, short.sweep.seeds
    shares = (0.5,)
    by_hand = trial_plan(short, own * 1.234567, shares, seeds)
    sweep(by_hand, tmp_path, quiet, "inline")
    half = trial_plan(short, own * 2.345678, shares, seeds)
    sweep(half, tmp_path, quiet, "inline", only=[half.runs[0].run_id])
    longer = short.training.model_copy(update={"tokens": 4096})
    other = short.model_copy(update={"training": longer})
    sweep(trial_plan(other, own * 1.5, shares, seeds[:1]), tmp_path, quiet, "inline")
    found = losses_on_disk(short, tmp_path, 0.5)
    assert {rate: len(losses) for rate, losses in found.items()} == {
        own * 1.234567: 2,
        own * 2.345678: 1,
    }
    trials = tune(short, tmp_path, 3, quiet, "inline", rho=shares)
    assert [trial.learning_rate for trial in trials] == [own, own * 1.234567, own * 2.345678]
    assert all(len(trial.losses) == 2 for trial in trials)
    members = noted_members("smoke.tune", tmp_path) or set()
    assert members == {r.run_id for t in trials for r in _runs(short, t, seeds)}


def _runs(scale: Scale, trial: Trial, seeds: tuple[int, ...]) -> tuple[PlannedRun, ...]:
    return trial_plan(scale, trial.learning_rate, (trial.rho,), seeds).runs


def test_finished_runs_of_the_sweep_itself_count_and_lie_in_the_table(
    short: Scale, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale = with_sweep(short, anchor_seeds=(7,))
    own, plan = scale.training.learning_rate, make_plan(scale)
    for run in plan.runs:
        train(run, tmp_path)
    trainings = Trainings()
    monkeypatch.setattr(learning_rate, "sweep", trainings)
    trials = tune(scale, tmp_path, 2, quiet)
    ours = {run.run_id for run in plan.runs}
    assert not ours & set(trainings.trained)
    assert len(trainings.trained) == 3 * 2
    assert all(set(t.losses) == {0, 1} for t in trials), "seeds that all rates have"
    copied = runs_folder(tmp_path, "smoke.tune")
    for run_id in ours:
        record = copied / run_id / FILE_NAME
        assert (
            record.read_bytes()
            == (runs_folder(tmp_path, "smoke") / run_id / FILE_NAME).read_bytes()
        )
    assert own in losses_on_disk(scale, tmp_path, 1.0)
    assert set(losses_on_disk(scale, tmp_path, 1.0)[own]) == {0, 1, 7}


def test_a_run_that_failed_is_one_line(
    short: Scale, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        learning_rate, "sweep", lambda plan, results, *_: sweep_status(plan, results)
    )
    with pytest.raises(UserError, match=r"learning rate 0\.\d+: run \w+ failed"):
        tune(short, tmp_path, 2, quiet)


def test_trials_differ_from_the_sweep_by_the_learning_rate_alone(smoke_plan: Plan) -> None:
    scale = smoke_plan.scale
    shares = probes(scale)
    trial = trial_plan(scale, scale.training.learning_rate, shares, scale.sweep.seeds)
    assert {run.run_id for run in trial.runs} <= {run.run_id for run in smoke_plan.runs}
    assert shares == (1.0, 0.5, 0.0)
    assert {run.allocation.rho_asked for run in trial.runs} == set(shares)


def test_variants_are_not_tuned(smoke_plan: Plan) -> None:
    scale = smoke_plan.scale
    variants = {"no_gate": {"memory.gate": False}}
    sweep = scale.sweep.model_copy(update={"variants": variants, "variant_rho": (0.5,)})
    trial = trial_plan(scale.model_copy(update={"sweep": sweep}), 1e-3, (1.0, 0.5), (0,))
    assert sorted(run.spec.arm for run in trial.runs) == ["engram", "moe"]


def test_a_sweep_of_several_conditions_is_tuned_under_its_first(smoke_plan: Plan) -> None:
    scale = smoke_plan.scale
    training = scale.training.model_copy(update={"tokens": None})
    lengths = {"tokens_per_active": (5.0, 20.0)}
    scales = [
        with_sweep(scale.model_copy(update={"training": training}), **lengths | changes)
        for changes in ({}, {"iso": ("strict", "paper")}, {"tokens_per_active": (5.0,)})
    ]
    ids = [[r.run_id for r in trial_plan(one, 1e-3, (1.0, 0.5), (0,)).runs] for one in scales]
    assert ids[0] == ids[1] == ids[2]
    assert len(ids[0]) == 2


def test_the_best_trial_ignores_diverged_ones_and_other_rho() -> None:
    trials = [
        Trial(1.0, 1e-3, {0: 2.0, 1: 2.0}),
        Trial(1.0, 2e-3, {0: 1.0, 1: 2.0}),
        Trial(1.0, 4e-3, {0: 1.0, 1: math.nan}),
        Trial(0.5, 1e-3, {0: 0.5, 1: 0.5}),
    ]
    assert best(trials, 1.0) is trials[1]
    assert best(trials[2:3], 1.0) is None


def test_shares_that_are_asked_for_are_those_of_the_grid(smoke_plan: Plan) -> None:
    assert probes(smoke_plan.scale, (0.0, 1.0)) == (0.0, 1.0)
    with pytest.raises(UserError, match=r"--rho: expected shares of .*\(1, 0\.5, 0\), got 0\.3$"):
        probes(smoke_plan.scale, (1.0, 0.3))


def test_a_scale_without_a_hybrid_has_nothing_to_compare(smoke_plan: Plan) -> None:
    scale = smoke_plan.scale
    with pytest.raises(UserError, match="expected one"):
        probes(with_sweep(scale, rho=(1.0,)))


def test_a_scale_of_table_sizes_is_one_line(smoke_plan: Plan) -> None:
    scale = smoke_plan.scale
    with pytest.raises(UserError, match=r"smoke\.yaml: sweep\.rows_per_head: tune compares"):
        probes(with_sweep(scale, rho=(0.5,), rows_per_head=(64, 128)))
