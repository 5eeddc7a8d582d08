from __future__ import annotations

import pytest
import torch

from engram_sweep.inside.block_states import watched_blocks
from tests.model.shapes import GEOMETRIES, build, tokens


@pytest.mark.parametrize("name", ["engram", "moe", "streams", "over_encoding"])
def test_the_last_state_is_what_the_final_norm_reads(name: str) -> None:
    model, ids = build(GEOMETRIES[name]), tokens(2, 7)
    with watched_blocks(model) as states, torch.no_grad():
        logits = model(ids)
    assert [state.shape for state in states] == [(2, 7, 8)] * 3
    assert torch.equal(model.head(model.norm(states[-1])), logits)
    model(ids)
    assert not any(block._forward_hooks for block in model.blocks)
