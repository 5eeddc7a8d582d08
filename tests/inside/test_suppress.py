from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from engram_sweep.inside import suppress
from engram_sweep.inside.predictions import predict
from engram_sweep.inside.suppress import MEASURE, SCHEMA, mean_rows, shuffled_rows, zero_rows
from engram_sweep.inside.trained import Trained
from tests.model.shapes import GEOMETRIES, build, tokens


@pytest.mark.parametrize(
    "name",
    [
        "engram", "streams", "signed_sqrt", "documents", "no_gate", "no_convolution",
        "single_fusion", "streams_value_alone",
    ],
)  # fmt: skip
def test_zero_rows_equal_a_model_without_the_module(name: str) -> None:
    model, ids = build(GEOMETRIES[name]), tokens(2, 9)
    without = copy.deepcopy(model)
    for block in without.blocks:
        setattr(block, "engram", None)  # noqa: B010  # for the type checker
    looked_up = [memory.look_up(ids) for memory in model.memories()]
    assert not torch.equal(model(ids), without(ids))
    assert torch.equal(model(ids, zero_rows(looked_up)), without(ids))


def test_a_table_of_zeros_is_a_skipped_module(run: Trained) -> None:
    emptied = copy.deepcopy(run.model)
    for table in emptied.tables():
        table.data.zero_()
    skipped = predict(run, zero_rows)
    assert (predict(replace(run, model=emptied)).loss == skipped.loss).all()


def test_shuffled_rows_are_the_same_rows_elsewhere_and_the_same_elsewhere_in_every_module() -> None:
    first = torch.arange(2 * 5 * 3).view(2, 5, 3)
    second = first + 100
    a, b = shuffled_rows([first, second])
    assert torch.equal(b, a + 100)
    assert not torch.equal(a, first)
    assert sorted(a.flatten(0, 1).tolist()) == sorted(first.flatten(0, 1).tolist())


def test_the_mean_row_is_that_of_all_held_out_positions(run: Trained) -> None:
    [memory] = run.model.memories()
    every = torch.cat([memory.look_up(inputs).flatten(0, 1) for inputs, _ in run.held_out()])
    [found] = mean_rows(run)([torch.zeros(1, 4, every.shape[1])])
    assert torch.allclose(found[0, 3], every.mean(0), atol=1e-6)


def test_every_mode_reads_the_same_positions(
    run: Trained, moe_run: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppress, "MAX_POSITIONS", 2000)
    table = MEASURE.of_run(run)
    assert table.schema.equals(SCHEMA)
    rows = table.to_pandas()
    tokens_of = rows[rows["order"] == 2].groupby("mode")["tokens"].sum()
    assert len(tokens_of) == 6
    assert tokens_of.nunique() == 1
    assert 1000 < tokens_of.iloc[0] < 2100
    pure = MEASURE.of_run(moe_run).to_pandas()
    assert set(pure["mode"]) == {"whole"}
