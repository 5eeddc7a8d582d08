from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from engram_sweep.inside.gates import MEASURE, SCHEMA, watched_gates
from engram_sweep.inside.predictions import predict
from engram_sweep.inside.trained import Trained
from engram_sweep.model.engram import Engram
from tests.model.shapes import GEOMETRIES, build, tokens


@pytest.mark.parametrize("name", ["engram", "streams", "signed_sqrt", "no_convolution"])
def test_watched_gates_are_those_that_the_module_used(name: str) -> None:
    model, ids = build(GEOMETRIES[name]), tokens(3, 7)
    with watched_gates(model) as watched, torch.no_grad():
        model(ids)
    streams = GEOMETRIES[name].streams
    assert list(watched) == [0, 1]
    for [gate], mean in zip(watched.values(), model.gate_means(), strict=True):
        assert gate.shape == (3, 7, streams)
        assert ((gate > 0) & (gate < 1)).all()
        assert float(gate.mean()) == pytest.approx(mean, abs=1e-6)
    model(ids)
    assert all(len(passes) == 1 for passes in watched.values())


def test_one_gate_for_all_streams_is_watched_as_one() -> None:
    model, ids = build(GEOMETRIES["single_fusion"]), tokens(3, 7)
    with watched_gates(model) as watched, torch.no_grad():
        model(ids)
    for [gate], mean in zip(watched.values(), model.gate_means(), strict=True):
        assert gate.shape == (3, 7, 1)
        assert float(gate.mean()) == pytest.approx(mean, abs=1e-6)


def test_a_module_without_a_gate_has_none_to_measure(run: Trained) -> None:
    ungated = copy.deepcopy(run.model)
    for memory in ungated.memories():
        assert isinstance(memory, Engram)
        memory.gated = False
    loss = predict(replace(run, model=ungated)).mean_loss
    table = MEASURE.of_run(replace(run, model=ungated, validation_loss=loss))
    assert table.num_rows == 0
    assert table.schema.equals(SCHEMA)


def test_sums_are_those_of_every_held_out_token(run: Trained, moe_run: Trained) -> None:
    table = MEASURE.of_run(run)
    assert table.schema.equals(SCHEMA)
    rows = table.to_pandas()
    gates = []
    with watched_gates(run.model) as watched, torch.no_grad():
        for inputs, _ in run.held_out():
            run.model(inputs)
    [gates] = watched.values()
    every = np.concatenate([gate.flatten().numpy() for gate in gates])
    of_order = rows[rows["order"] == 3]
    assert of_order["tokens"].sum() == len(every)
    assert of_order["gate"].sum() / len(every) == pytest.approx(every.mean(), abs=1e-5)
    # What skipping the memory adds to the loss, summed, is the gain.
    assert of_order["gain"].sum() == pytest.approx(rows[rows["order"] == 2]["gain"].sum())
    assert MEASURE.of_run(moe_run).num_rows == 0
