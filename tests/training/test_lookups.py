from __future__ import annotations

import torch

from engram_sweep.training.lookups import WholeLookups
from tests.model.shapes import GEOMETRIES, build, tokens


def test_whole_tables_get_the_gradient_of_their_rows() -> None:
    model, ids = build(GEOMETRIES["engram"]), tokens(2, 6)
    lookups = WholeLookups(model)
    found = lookups.look_up(ids)
    given = [torch.randn_like(e) for e in found]
    lookups.give_back(given)
    for memory, e, gradient in zip(model.memories(), found, given, strict=True):
        rows = memory.rows(ids)
        assert torch.equal(e, memory.table.weight.detach()[rows].flatten(2))
        wanted = torch.zeros_like(memory.table.weight)
        wanted.index_add_(0, rows.flatten(), gradient.view(-1, wanted.shape[1]))
        assert memory.table.weight.grad is not None
        torch.testing.assert_close(memory.table.weight.grad.to_dense(), wanted)
