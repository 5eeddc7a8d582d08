"""Optimizers: one table for the price and the trainer, and the recipe for a new one."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch

from engram_sweep.config.sections import Training
from engram_sweep.planning import cost
from engram_sweep.planning.optimizers import (
    OPTIMIZERS,
    TABLE_OPTIMIZERS,
    OptimizerFacts,
    is_matrix,
    state_bytes,
)
from engram_sweep.planning.plan import PlannedRun, make_plan
from engram_sweep.training import optimizers
from engram_sweep.training.optimizers import MATRIX_BUILDERS, TABLE_BUILDERS, make_optimizers
from tests.examples import scale
from tests.training.test_optimizers import model_of


def run_with(optimizer: str) -> PlannedRun:
    run = make_plan(scale()).runs[-1]
    training = replace(run.spec.training, optimizer=optimizer)
    return replace(run, spec=replace(run.spec, training=training))


def optimizer_bytes(optimizer: str) -> int:
    return cost.optimizer_bytes(run_with(optimizer))


def test_yaml_facts_and_builders_name_the_same_optimizers() -> None:
    assert set(OPTIMIZERS) == set(get_args(Training.model_fields["optimizer"].annotation))
    own = {key for key, facts in OPTIMIZERS.items() if facts.matrix_bytes is not None}
    assert own == set(MATRIX_BUILDERS)
    asked = get_args(Training.model_fields["table_optimizer"].annotation)
    assert set(TABLE_OPTIMIZERS) == set(TABLE_BUILDERS) == set(asked)


@pytest.mark.parametrize("key", TABLE_OPTIMIZERS)
def test_the_price_of_a_table_is_what_its_optimizer_keeps(key: str) -> None:
    """By the state that a step leaves behind, byte by byte."""
    run = run_with("adamw")
    training = replace(run.spec.training, table_optimizer=key)
    [entry] = [e for e in run.allocation.ledger.entries if e.part == "table"][:1]
    table = torch.nn.Parameter(torch.zeros(entry.shape))
    optimizer = TABLE_BUILDERS[key]([table], training, 1e-3)
    torch.nn.functional.embedding(torch.tensor([0, 2]), table, sparse=True).sum().backward()
    optimizer.step()
    kept = [value for value in optimizer.state[table].values() if torch.is_tensor(value)]
    assert sum(value.nbytes for value in kept) == state_bytes(training, entry)


def test_muon_keeps_half_of_adams_state_for_matrices() -> None:
    entries = run_with("muon").allocation.ledger.entries
    matrices = sum(entry.count for entry in entries if is_matrix(entry))
    assert optimizer_bytes("adamw") - optimizer_bytes("muon") == 4 * matrices > 0


def test_a_new_optimizer_is_one_fact_and_one_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    def plain_sgd(stacks: optimizers.Stacks, training) -> torch.optim.Optimizer:
        params = [p for stack in stacks for p in stack["params"]]
        return torch.optim.SGD(params, lr=training.learning_rate)

    facts = OptimizerFacts(key="sgd", matrix_bytes=0)
    monkeypatch.setitem(OPTIMIZERS, facts.key, facts)
    monkeypatch.setitem(MATRIX_BUILDERS, facts.key, plain_sgd)

    # The price follows: no state for matrices, Adam's for the rest.
    entries = run_with("sgd").allocation.ledger.entries
    matrices = sum(entry.count for entry in entries if is_matrix(entry))
    assert optimizer_bytes("adamw") - optimizer_bytes("sgd") == 8 * matrices

    # The trainer follows: every parameter is trained once, the matrices by the new one.
    model = model_of()
    found = make_optimizers(model, run_with("sgd").spec.training)
    kinds = [type(optimizer).__name__ for optimizer in found]
    assert kinds == ["AdamW", "SGD", "TableAdam"]
    trained = [id(p) for o in found for group in o.param_groups for p in group["params"]]
    assert sorted(trained) == sorted(id(p) for p in model.parameters())
