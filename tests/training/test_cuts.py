from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engram_sweep.placement import Placement
from engram_sweep.spec import RunSpec
from engram_sweep.training.cuts import Cuts, local
from engram_sweep.training.layout import Place, join
from engram_sweep.training.sharding import sharded_model
from tests.model.shapes import CLASSES, GEOMETRIES, build
from tests.training.conftest import spec_with
from tests.training.ranks import on_ranks


def test_one_process_holds_all_rows() -> None:
    model = build(GEOMETRIES["engram"])
    cuts = Cuts(model, [len(table) for table in model.tables()])
    for p in model.parameters():
        assert cuts.rows(p) == (len(p), 0, len(p))
        own, shape, first = cuts.part(p)
        assert (own is p, shape, first) == (True, p.shape, 0)
        assert cuts.spread(p, own) is own


def parts(place: Place, spec: RunSpec, placement: Placement) -> dict[str, tuple[bool, Tensor]]:
    """Whether each parameter's part is its own rows of the whole, and the whole."""
    model, cuts = sharded_model(spec, CLASSES, join(place, placement))
    found = {}
    for name, p in model.named_parameters():
        spread = cuts.spread(p, local(p.detach()))
        whole = spread.full_tensor()  # type: ignore[attr-defined]
        own, shape, first = cuts.part(p)
        right = tuple(whole.shape) == shape and torch.equal(cuts.own(p, whole), own)
        found[name] = right and torch.equal(whole[first : first + len(own)], own), whole.detach()
    return found


@pytest.mark.xdist_group("ranks")
def test_parts_put_together_are_the_whole(smoke_plan) -> None:
    spec = spec_with(smoke_plan, GEOMETRIES["streams"])
    for found in on_ranks(4, parts, spec, Placement(2, 2)):
        assert all(right for right, _ in found.values())
        shapes = {name: p.shape for name, p in build(spec.geometry).named_parameters()}
        assert {name: whole.shape for name, (_, whole) in found.items()} == shapes
