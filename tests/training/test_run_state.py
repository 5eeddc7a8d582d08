"""What a run goes on from is all of it, whole or cut."""

from __future__ import annotations

import pytest
import torch

from engram_sweep.placement import Placement
from engram_sweep.training.assembly import assemble
from engram_sweep.training.cuts import local
from engram_sweep.training.layout import join
from engram_sweep.training.micro_batches import accumulate
from engram_sweep.training.optimizers import make_optimizers
from engram_sweep.training.run_state import RunState, skeleton
from tests.model.shapes import CLASSES, GEOMETRIES, tokens
from tests.training.conftest import spec_with
from tests.training.ranks import on_ranks

OPTIONS = [{}, {"optimizer": "muon"}, {"table_optimizer": "lazy_adam"}]


def stepped(spec, steps: int) -> RunState:
    model, cuts, lookups = assemble(spec, CLASSES, Placement(), None)
    optimizers = make_optimizers(model, spec.training)
    for step in range(steps):
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        accumulate(model, tokens(2, 8, seed=step), lookups, torch.Tensor.backward)
        for optimizer in optimizers:
            optimizer.step()
    return RunState(model, cuts, optimizers)


@pytest.mark.parametrize("training", OPTIONS)
@pytest.mark.parametrize("by_name", [True, False])
def test_a_run_of_before_its_first_step_becomes_one_of_after(smoke_plan, training, by_name) -> None:
    spec = spec_with(smoke_plan, GEOMETRIES["engram"], **training)
    old, new = stepped(spec, 3), stepped(spec, 0)
    tensors = old.tensors()
    if by_name:
        shapes = {name: (t.shape, t.dtype) for name, t in tensors.items()}
        rest = {"optimizers": [skeleton(optimizer) for optimizer in old.optimizers]}

        def load(room: dict[str, torch.Tensor]) -> None:
            assert room.keys() == tensors.keys()
            for name, tensor in room.items():
                local(tensor.detach()).copy_(tensors[name])

        new.fill_from(shapes, rest, load)
    else:
        new.fill_from_whole(old.whole())
    for name, tensor in new.tensors().items():
        assert torch.equal(tensor, tensors[name]), name
        assert tensor.dtype == tensors[name].dtype
    for a, b in zip(new.optimizers, old.optimizers, strict=True):
        assert repr(skeleton(a)) == repr(skeleton(b))


def test_whatever_has_rows_is_named_by_its_parameter(smoke_plan) -> None:
    spec = spec_with(smoke_plan, GEOMETRIES["engram"], optimizer="muon")
    state = stepped(spec, 1)
    names = set(state.tensors())
    assert "state/blocks.0.engram.table.weight/last_step" in names
    assert "state/blocks.1.feed_forward.experts.down/momentum" in names
    assert "model/blocks.1.feed_forward.router.bias" in names
    assert {f"model/{name}" for name in state.model.state_dict()} < names
    assert set(state.gathered()) == set(state.model.state_dict())


def after_validation(place, spec, placement) -> dict[str, torch.Tensor]:
    """What lies in the first process once all have looked at held-out windows."""
    model, cuts, lookups = assemble(spec, CLASSES, placement, join(place, placement))
    windows = tokens(2, 8)
    with torch.no_grad():
        model(windows[:, :-1], lookups.look_up(windows[:, :-1]), windows[:, 1:])
    return RunState(model, cuts).gathered()


@pytest.mark.xdist_group("ranks")
@pytest.mark.parametrize("placement", [Placement(replicas=2), Placement(shards=2)])
def test_weights_are_gathered_whole_after_validation(smoke_plan, placement) -> None:
    """A forward pass without a backward one leaves some parameters gathered."""
    spec = spec_with(smoke_plan, GEOMETRIES["engram"])
    plain = stepped(spec, 0).model.state_dict()
    found, other = on_ranks(2, after_validation, spec, placement)
    assert other == {}
    assert found.keys() == plain.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, plain[name]), name
