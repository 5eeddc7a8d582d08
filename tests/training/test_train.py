from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engram_sweep.corpus.shards import Shards
from engram_sweep.model.initialization import initialise
from engram_sweep.model.transformer import Transformer
from engram_sweep.placement import Placement
from engram_sweep.planning.plan import Plan
from engram_sweep.training.train import RunResult, train
from tests.training.conftest import short_spec


def test_same_spec_same_numbers(trained, smoke_plan: Plan, shards: Shards, tmp_path: Path) -> None:
    again = train(short_spec(smoke_plan, 0.5), shards, tmp_path)

    def measured(result: RunResult) -> dict:
        return {
            name: value for name, value in asdict(result).items() if name != "tokens_per_second"
        }

    assert measured(again) == measured(trained[0])


@pytest.mark.skipif(torch.cuda.is_available(), reason="the processor is asked for")
def test_the_kind_of_processor_is_named(trained) -> None:
    """Bits depend on it."""
    processor, _, instructions = trained[0].device.rpartition(", ")
    assert instructions == torch.backends.cpu.get_cpu_capability()
    assert processor in Path("/proc/cpuinfo").read_text()


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
    """With a learning rate of nearly nothing, the loss is that of a plain pass."""
    spec = short_spec(smoke_plan, 0.0, learning_rate=1e-30, balance_rate=0.0)
    result = train(spec, shards, tmp_path)
    model = Transformer(spec.geometry, torch.from_numpy(shards.compression))
    initialise(model, spec.seed)
    first = torch.from_numpy(shards.validation[: spec.training.window + 1].astype(np.int64))[None]
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(model(first[:, :-1])[0], first[0, 1:])
    assert result.window_losses[0] == pytest.approx(float(loss), rel=1e-5)


def test_shards_of_another_vocabulary_are_refused(
    smoke_plan: Plan, shards: Shards, tmp_path: Path
) -> None:
    spec = short_spec(smoke_plan, 1.0)
    other = replace(spec, geometry=replace(spec.geometry, vocab_size=300))
    with pytest.raises(ValueError, match="vocabulary of 300, the shards have 256"):
        train(other, shards, tmp_path)


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        (Placement(shards=2), "expected 1 processes, got 1 replicas x 2 shards"),
        (Placement(micro_windows=3), "micro_windows: expected a divisor of the 16 windows"),
    ],
)
def test_a_placement_that_does_not_fit_is_refused(
    smoke_plan: Plan, shards: Shards, tmp_path: Path, placement: Placement, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        train(short_spec(smoke_plan, 1.0), shards, tmp_path, placement=placement)
