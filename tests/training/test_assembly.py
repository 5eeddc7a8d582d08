from __future__ import annotations

import pytest
import torch

from engram_sweep.placement import Placement
from engram_sweep.training.assembly import assemble
from engram_sweep.training.lookups import ExchangedLookups, WholeLookups
from engram_sweep.training.sharding import HostTable
from tests.model.shapes import CLASSES, GEOMETRIES
from tests.training.conftest import spec_with


def test_a_placement_says_what_is_held(smoke_plan) -> None:
    spec = spec_with(smoke_plan, GEOMETRIES["engram"], balance_loss=0.1)
    model, _, lookups = assemble(spec, CLASSES, Placement(recompute=True, loss_chunk=5), None)
    assert (model.recompute, model.loss_chunk) == (True, 5)
    assert all(router.measure_balance for router in model.routers())
    assert isinstance(lookups, WholeLookups)


@pytest.mark.parametrize("tables", ["device", "host"])
def test_tables_in_the_host_stay_there_when_the_model_moves(smoke_plan, tables) -> None:
    spec = spec_with(smoke_plan, GEOMETRIES["engram"])
    model, _, lookups = assemble(spec, CLASSES, Placement(tables=tables), None)
    assert isinstance(lookups, ExchangedLookups) == (tables == "host")
    model.to("meta")  # any other device
    kinds = {table.device.type for table in model.tables()}
    assert kinds == ({"cpu"} if tables == "host" else {"meta"})
    assert model.head.weight.device.type == "meta"
    assert all(isinstance(m.table, HostTable) == (tables == "host") for m in model.memories())


def test_where_tables_lie_changes_no_initial_value(smoke_plan) -> None:
    spec = spec_with(smoke_plan, GEOMETRIES["engram"])
    values = [
        assemble(spec, CLASSES, Placement(tables=tables), None)[0].state_dict()
        for tables in ("device", "host")
    ]
    assert all(torch.equal(tensor, values[1][name]) for name, tensor in values[0].items())
