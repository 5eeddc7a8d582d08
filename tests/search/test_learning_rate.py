from __future__ import annotations

from pathlib import Path

import pytest

from engram_sweep.errors import UserError
from engram_sweep.launch.sweep import sweep
from engram_sweep.planning.plan import Plan
from engram_sweep.search.learning_rate import (
    SPAN,
    Trial,
    best,
    probes,
    rates_on_disk,
    trial_plan,
    tune,
)


def test_a_check_that_is_asked_again_trains_nothing_again(smoke_plan: Plan, tmp_path: Path) -> None:
    scale = smoke_plan.scale.model_copy(
        update={"training": smoke_plan.scale.training.model_copy(update={"tokens": 2048})}
    )
    trials = tune(scale, tmp_path, 3, lambda statuses: None, executor="inline")
    own = scale.training.learning_rate
    assert own in [trial.learning_rate for trial in trials]
    assert all(own / SPAN * 0.95 <= trial.learning_rate <= own * SPAN * 1.05 for trial in trials)
    assert all(set(trial.losses) == {1.0, 0.6} for trial in trials)
    records = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("record.parquet")}
    assert len(trials) == len({trial.learning_rate for trial in trials}) == 3
    assert len(records) == 2 * 3
    assert tune(scale, tmp_path, 3, lambda statuses: None, executor="inline") == trials
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("record.parquet")} == records
    # More rates go on from those.
    more = tune(scale, tmp_path, 4, lambda statuses: None, executor="inline")
    assert len(more) == 4
    assert [trial for trial in more if trial in trials] == trials
    assert not (tmp_path / "smoke").exists(), "trials stay out of the sweep's own table"


def test_what_lies_on_disk_is_the_state_of_the_search(smoke_plan: Plan, tmp_path: Path) -> None:
    """Rates of anyone count, half a rate is finished first, other scales' trials do not count."""
    training = smoke_plan.scale.training.model_copy(update={"tokens": 2048})
    scale = smoke_plan.scale.model_copy(update={"training": training})
    own = training.learning_rate
    by_hand = trial_plan(scale, own * 1.234567)
    sweep(by_hand, tmp_path, lambda statuses: None, "inline")
    half = trial_plan(scale, own * 2.345678)
    sweep(half, tmp_path, lambda statuses: None, "inline", only=[half.runs[0].run_id])
    longer = training.model_copy(update={"tokens": 4096})
    other = scale.model_copy(update={"training": longer})
    sweep(trial_plan(other, own * 1.5), tmp_path, lambda statuses: None, "inline")
    done, begun = rates_on_disk(scale, tmp_path)
    assert [trial.learning_rate for trial in done] == [own * 1.234567]
    assert begun == [own * 2.345678]
    trials = tune(scale, tmp_path, 3, lambda statuses: None, executor="inline")
    assert [trial.learning_rate for trial in trials] == [own, own * 1.234567, own * 2.345678]
    assert rates_on_disk(scale, tmp_path) == (trials, [])


def test_trials_differ_from_the_sweep_by_the_learning_rate_alone(smoke_plan: Plan) -> None:
    scale = smoke_plan.scale
    trial = trial_plan(scale, scale.training.learning_rate)
    assert {run.run_id for run in trial.runs} <= {run.run_id for run in smoke_plan.runs}
    assert [run.allocation.rho_asked for run in trial.runs] == list(probes(scale)) == [1.0, 0.5]


def test_variants_are_not_tuned(smoke_plan: Plan) -> None:
    scale = smoke_plan.scale
    variants = {"no_gate": {"memory.gate": False}}
    sweep = scale.sweep.model_copy(update={"variants": variants, "variant_rho": (0.5,)})
    trial = trial_plan(scale.model_copy(update={"sweep": sweep}), 1e-3)
    assert [run.spec.arm for run in trial.runs] == ["moe", "engram"]


def test_a_sweep_of_both_iso_modes_is_tuned_under_its_first(smoke_plan: Plan) -> None:
    scale = smoke_plan.scale
    both = scale.model_copy(
        update={"sweep": scale.sweep.model_copy(update={"iso": ("strict", "paper")})}
    )
    ids = [[run.run_id for run in trial_plan(one, 1e-3).runs] for one in (scale, both)]
    assert ids[0] == ids[1]


def test_the_best_trial_ignores_diverged_ones() -> None:
    trials = [Trial(1e-3, {1.0: 2.0}), Trial(2e-3, {1.0: 1.5}), Trial(4e-3, {1.0: float("nan")})]
    assert best(trials, 1.0) is trials[1]
    assert best(trials[2:], 1.0) is None


def test_a_scale_without_a_hybrid_has_nothing_to_compare(smoke_plan: Plan) -> None:
    scale = smoke_plan.scale
    alone = scale.model_copy(update={"sweep": scale.sweep.model_copy(update={"rho": (1.0,)})})
    with pytest.raises(UserError, match="expected one"):
        probes(alone)


def test_a_scale_of_table_sizes_is_one_line(smoke_plan: Plan) -> None:
    scale = smoke_plan.scale
    sizes = scale.sweep.model_copy(update={"rho": (0.5,), "rows_per_head": (64, 128)})
    with pytest.raises(UserError, match=r"smoke\.yaml: sweep\.rows_per_head: tune compares"):
        probes(scale.model_copy(update={"sweep": sizes}))
