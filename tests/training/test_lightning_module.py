from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from engram_sweep.corpus.shards import Shards
from engram_sweep.planning.plan import Plan
from engram_sweep.training.train import train
from tests.training.conftest import short_spec


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
    geometry = short_spec(smoke_plan, 0.5).geometry
    load = trained[0].expert_load
    assert [len(layer) for layer in load] == [geometry.routed_experts] * geometry.n_layers
    assert [sum(layer) for layer in load] == pytest.approx([1.0] * geometry.n_layers)
    assert 0 < trained[0].gate_mean[0] < 1


def test_a_diverged_run_is_a_result(smoke_plan: Plan, shards: Shards, tmp_path: Path) -> None:
    result = train(short_spec(smoke_plan, 1.0, learning_rate=1e30), shards, tmp_path)
    assert result.outcome == "diverged"
    assert math.isnan(result.validation_loss)
    assert result.steps < short_spec(smoke_plan, 1.0).training.steps, (
        "it stopped when the loss was no longer finite"
    )
