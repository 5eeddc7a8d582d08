from __future__ import annotations

import pytest

from engram_sweep.errors import UserError
from engram_sweep.planning.anchor import (
    RATIO_TOLERANCE,
    anchor_geometry,
    experts_for,
    with_experts,
)
from engram_sweep.planning.ledger import ledger
from tests.examples import load, scale


def ratio_with(example, experts: int) -> float:
    found = ledger(anchor_geometry(with_experts(example, experts)), example.training.window)
    return found.params_total / found.params_active


@pytest.mark.parametrize(
    ("name", "wanted"), [("tiny", 8.0), ("tiny", 12.3), ("tiny", 20.0), ("10B", 6.0), ("10B", 10.0)]
)
def test_no_other_number_of_experts_comes_nearer_to_a_ratio(name: str, wanted: float) -> None:
    example = load(name)
    found = experts_for(example, wanted)
    misses = {
        experts: abs(ratio_with(example, experts) / wanted - 1)
        for experts in range(example.model.top_k + 1, 130)
    }
    assert misses[found] <= min(misses.values()) + 1e-12
    assert misses[found] <= RATIO_TOLERANCE


def test_a_ratio_beyond_the_ceiling_names_it() -> None:
    with pytest.raises(UserError, match="cannot be met within 1%"):
        experts_for(scale(), 500.0)


def test_the_anchor_has_no_memory_and_all_experts() -> None:
    example = scale()
    found = anchor_geometry(example)
    assert found.memory is None
    assert found.routed_experts == example.model.routed_experts
    assert with_experts(example, 9).model.routed_experts == 9
