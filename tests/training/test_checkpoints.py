"""A run that is stopped anywhere and goes on ends bit-equal to one that was not."""

from __future__ import annotations

import csv
import random
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from engram_sweep.corpus.shards import Shards
from engram_sweep.planning.plan import Plan
from engram_sweep.spec import run_id
from engram_sweep.training.checkpoints import Checkpoints
from engram_sweep.training.observed import Progress
from engram_sweep.training.signals import Interrupted, StopFlag
from engram_sweep.training.train import RunResult, train
from tests.training.conftest import spec_of, state_of_a_model

OPTIONS = {
    "adamw": {},
    "muon, bf16, step schedule": {"optimizer": "muon", "precision": "bf16", "schedule": "step"},
    "balance loss": {"balance_loss": 0.01},
    "lazy Adam on tables": {"table_optimizer": "lazy_adam"},
}


def measured(result: RunResult) -> str:
    """Everything but times, digit by digit."""
    return repr(
        {name: value for name, value in asdict(result).items() if name != "tokens_per_second"}
    )


def stop_at(stop: StopFlag, step: int):
    def report(progress: Progress) -> None:
        if progress.step == step:
            stop.asked = True

    return report


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("rho", [1.0, 0.5])
def test_stopped_twice_ends_bit_equal(
    smoke_plan: Plan, shards: Shards, tmp_path: Path, options: dict, rho: float
):
    torch.set_num_threads(1)
    spec = spec_of(smoke_plan, rho, **options)
    whole = train(spec, shards, tmp_path / "whole")
    steps = sorted(random.Random(f"{options}{rho}").sample(range(1, spec.training.steps), 2))
    checkpoints = Checkpoints(tmp_path / "checkpoints", every_seconds=1e9)
    for step in steps:
        stop = StopFlag()
        with pytest.raises(Interrupted, match=f"after step {step} "):
            train(spec, shards, tmp_path / "logs", stop_at(stop, step), checkpoints, stop)
        torch.manual_seed(step)  # another process has other random numbers
    assert max(checkpoints.folder.iterdir()).name.startswith(f"step-{steps[-1]:08d}-")
    resumed = train(spec, shards, tmp_path / "logs", checkpoints=checkpoints)
    assert measured(resumed) == measured(whole)
    assert resumed.curve_steps == list(range(1, spec.training.steps + 1))

    def logged(name: str) -> list[tuple[str, str]]:
        with (tmp_path / name / "csv" / "metrics.csv").open() as file:
            return [(row["step"], row["train_loss"]) for row in csv.DictReader(file)]

    assert logged("logs") == logged("whole")


def test_stopped_in_validation_trains_no_step_again(
    smoke_plan: Plan, shards: Shards, tmp_path: Path
) -> None:
    spec = spec_of(smoke_plan)
    whole = train(spec, shards, tmp_path / "whole")
    checkpoints = Checkpoints(tmp_path / "checkpoints", every_seconds=1e9)
    stop = StopFlag()
    with pytest.raises(Interrupted):
        train(
            spec, shards, tmp_path / "logs", stop_at(stop, spec.training.steps), checkpoints, stop
        )
    steps: list[Progress] = []
    resumed = train(spec, shards, tmp_path / "logs", steps.append, checkpoints)
    assert steps == []
    assert measured(resumed) == measured(whole)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    smoke_plan: Plan, shards: Shards, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = spec_of(smoke_plan)
    whole = train(spec, shards, tmp_path / "whole")
    checkpoints = Checkpoints(tmp_path / "checkpoints", every_seconds=0)
    stop = StopFlag()
    with pytest.raises(Interrupted):
        train(spec, shards, tmp_path / "logs", stop_at(stop, 7), checkpoints, stop)
    kept = sorted(checkpoints.folder.iterdir())
    assert [path.name[:13] for path in kept] == ["step-00000006", "step-00000007"], (
        "the two newest are kept"
    )
    data = bytearray(kept[-1].read_bytes())
    data[len(data) // 2] ^= 1
    kept[-1].write_bytes(data)
    resumed = train(spec, shards, tmp_path / "logs", checkpoints=checkpoints)
    assert "step-00000007" in capsys.readouterr().err
    assert measured(resumed) == measured(whole)


@pytest.mark.parametrize("keep", [0, 1000, -1])
def test_truncated_checkpoints_are_not_taken(
    tmp_path: Path, keep: int, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", 0)
    for step in (1, 2, 3):
        checkpoints.save(step, state_of_a_model(), {"run_id": "a", "x": torch.full((9,), step)})
    newest = max(checkpoints.folder.iterdir())
    newest.write_bytes(newest.read_bytes()[:keep])
    saved = checkpoints.newest("a")
    assert saved is not None
    assert saved.rest["x"][0] == 2
    assert "step-00000003" in capsys.readouterr().err
    assert not newest.exists()
    assert oct(checkpoints.folder.stat().st_mode & 0o777) == "0o700"
    checkpoints.clear()
    assert not checkpoints.folder.exists()
    assert checkpoints.newest("a") is None


def test_w1_a_checkpoint_of_another_run_is_not_gone_on_from(
    smoke_plan: Plan, shards: Shards, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder copied by mistake: the run starts anew, and ends as if nothing had been there."""
    spec = spec_of(smoke_plan)
    other = replace(spec, seed=spec.seed + 1)
    whole = train(spec, shards, tmp_path / "whole")
    checkpoints, stop = Checkpoints(tmp_path / "checkpoints", every_seconds=1e9), StopFlag()
    with pytest.raises(Interrupted):
        train(other, shards, tmp_path / "other", stop_at(stop, 5), checkpoints, stop)
    [theirs] = checkpoints.folder.iterdir()
    resumed = train(spec, shards, tmp_path / "logs", checkpoints=checkpoints)
    assert measured(resumed) == measured(whole)
    said = capsys.readouterr().err
    assert f"{theirs.name}: of another run ({run_id(other)})" in said
    assert (checkpoints.folder / f"other-{theirs.name}").exists(), "it may be the only copy"


def test_a_diverged_run_that_was_stopped_is_still_diverged(
    smoke_plan: Plan, shards: Shards, tmp_path: Path
) -> None:
    spec = spec_of(smoke_plan, 1.0, learning_rate=1e30)
    whole = train(spec, shards, tmp_path / "whole")
    checkpoints, stop = Checkpoints(tmp_path / "checkpoints", 1e9), StopFlag()
    stop.asked = True
    with pytest.raises(Interrupted):
        train(spec, shards, tmp_path / "logs", checkpoints=checkpoints, stop=stop)
    assert measured(train(spec, shards, tmp_path / "logs", checkpoints=checkpoints)) == measured(
        whole
    )
