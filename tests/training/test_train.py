from __future__ import annotations

import csv
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engram_sweep.corpus.shards import Shards
from engram_sweep.model.initialization import initialise
from engram_sweep.model.transformer import Transformer
from engram_sweep.planning.plan import Plan
from engram_sweep.spec import RunSpec
from engram_sweep.training.lightning_module import Progress
from engram_sweep.training.train import RunResult, train


def spec_of(plan: Plan, rho: float, **training: float) -> RunSpec:
    spec = next(run.spec for run in plan.runs if run.allocation.rho_asked == rho)
    return replace(spec, training=replace(spec.training, **{"tokens": 8192, **training}))


@pytest.fixture(scope="module")
def trained(smoke_plan: Plan, shards: Shards, tmp_path_factory: pytest.TempPathFactory):
    torch.set_num_threads(1)
    logs = tmp_path_factory.mktemp("logs")
    reports: list[Progress] = []
    return train(spec_of(smoke_plan, 0.5), shards, logs, reports.append), logs, reports


def test_same_spec_same_numbers(trained, smoke_plan: Plan, shards: Shards, tmp_path: Path) -> None:
    again = train(spec_of(smoke_plan, 0.5), shards, tmp_path)

    def measured(result: RunResult) -> dict:
        return {
            name: value for name, value in asdict(result).items() if name != "tokens_per_second"
        }

    assert measured(again) == measured(trained[0])


def test_validation_loss_is_the_mean_over_every_held_out_token(trained, shards: Shards) -> None:
    result = trained[0]
    assert sum(result.window_tokens) == len(shards.validation) - 1
    assert result.validation_loss == pytest.approx(
        np.average(result.window_losses, weights=result.window_tokens)
    )
    assert result.outcome == "ok"
    assert result.validation_loss < math.log(256), "it learned something"


def test_an_untrained_model_is_validated_as_it_is(
    smoke_plan: Plan, shards: Shards, tmp_path: Path
) -> None:
    """With a learning rate of nearly nothing, the loss equals that of a plain pass over the initial model."""
    spec = spec_of(smoke_plan, 0.0, learning_rate=1e-30, balance_rate=0.0)
    result = train(spec, shards, tmp_path)
    model = Transformer(spec.geometry, torch.from_numpy(shards.compression))
    initialise(model, spec.seed)
    first = torch.from_numpy(shards.validation[: spec.training.window + 1].astype(np.int64))[None]
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(model(first[:, :-1])[0], first[0, 1:])
    assert result.window_losses[0] == pytest.approx(float(loss), rel=1e-5)


def test_logs_and_reports(trained) -> None:
    result, logs, reports = trained
    with (logs / "csv" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    steps = [int(row["step"]) for row in rows]
    assert steps == list(range(1, result.steps + 1))
    for name in (
        "train_loss",
        "tokens_per_second",
        "gate_mean/0",
        "load_max_over_mean/1",
        "experts_without_tokens/0",
    ):
        assert all(math.isfinite(float(row[name])) for row in rows), name
    assert list((logs / "tb").glob("events.out.tfevents.*"))
    assert reports[-1].step == reports[-1].steps == result.steps
    assert [report.train_loss for report in reports] == pytest.approx(
        [float(row["train_loss"]) for row in rows]
    )


def test_load_is_counted(trained, smoke_plan: Plan) -> None:
    geometry = spec_of(smoke_plan, 0.5).geometry
    load = trained[0].expert_load
    assert [len(layer) for layer in load] == [geometry.routed_experts] * geometry.n_layers
    assert [sum(layer) for layer in load] == pytest.approx([1.0] * geometry.n_layers)
    assert 0 < trained[0].gate_mean[0] < 1


def test_a_diverged_run_is_a_result(smoke_plan: Plan, shards: Shards, tmp_path: Path) -> None:
    result = train(spec_of(smoke_plan, 1.0, learning_rate=1e30), shards, tmp_path)
    assert result.outcome == "diverged"
    assert math.isnan(result.validation_loss)
    assert result.steps < spec_of(smoke_plan, 1.0).training.steps, (
        "it stopped when the loss was no longer finite"
    )


def test_shards_of_another_vocabulary_are_refused(
    smoke_plan: Plan, shards: Shards, tmp_path: Path
) -> None:
    spec = spec_of(smoke_plan, 1.0)
    other = replace(spec, geometry=replace(spec.geometry, vocab_size=300))
    with pytest.raises(ValueError, match="vocabulary of 300, the shards have 256"):
        train(other, shards, tmp_path)
