from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.model.initialization import initialise
from engram_sweep.model.transformer import Transformer, window_losses
from engram_sweep.spec import TrainingSpec
from engram_sweep.training.optimizers import make_optimizers, schedule_factor, set_learning_rates
from tests.model.shapes import CLASSES, GEOMETRIES, scale, tokens

TRAINING = TrainingSpec(**scale("smoke").training.model_dump())


def model_of(kind: str = "engram") -> Transformer:
    model = Transformer(GEOMETRIES[kind], CLASSES)
    initialise(model, 0)
    return model


def group_of(optimizers, parameter):
    return next(
        g for o in optimizers for g in o.param_groups if any(p is parameter for p in g["params"])
    )


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("kind", GEOMETRIES)
def test_every_parameter_is_in_one_group(kind, optimizer):
    model = model_of(kind)
    optimizers = make_optimizers(model, replace(TRAINING, optimizer=optimizer))
    grouped = [id(p) for o in optimizers for g in o.param_groups for p in g["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())


def test_muon_moves_each_projection_of_over_encoding_as_a_matrix_of_its_own():
    model = model_of("over_encoding")
    assert model.over_encoding is not None
    projection = model.over_encoding.projection.weight
    muon = make_optimizers(model, replace(TRAINING, optimizer="muon", weight_decay=0.0))[1]
    before = projection.detach().clone()
    projection.grad = torch.randn(
        projection.shape, generator=torch.Generator().manual_seed(0)
    ) * torch.tensor([1.0, 1e3, 1.0, 1e-3]).repeat_interleave(3)
    muon.step()
    # However unequal the gradients, the steps are of one size; in one matrix one would rule.
    steps = (projection.detach() - before).split(3, dim=1)
    sizes = torch.stack([step.norm() for step in steps])
    assert float(sizes.max() / sizes.min()) < 1.5


def test_tables_learn_five_times_faster_and_never_decay():
    model = model_of()
    optimizers = make_optimizers(model, TRAINING)
    for table in model.tables():
        group = group_of(optimizers, table)
        assert group["lr"] == pytest.approx(5 * TRAINING.learning_rate)
        assert not group.get("weight_decay")


@pytest.mark.parametrize("table_optimizer", ["adam", "lazy_adam"])
def test_eps_is_that_of_every_adam(table_optimizer):
    training = replace(TRAINING, eps=1e-20, optimizer="muon", table_optimizer=table_optimizer)
    adamw, muon, tables = make_optimizers(model_of(), training)
    assert {group["eps"] for group in (*adamw.param_groups, *tables.param_groups)} == {1e-20}
    assert "eps" not in muon.param_groups[0]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("kind", ["engram", "streams"])
def test_norms_do_not_decay_and_matrices_do(kind, optimizer):
    model = model_of(kind)
    optimizers = make_optimizers(model, replace(TRAINING, optimizer=optimizer))
    for name, parameter in model.named_parameters():
        if "table" not in name:
            vector = "norm" in name or name.endswith(("mix.bias", "mix.scale"))
            assert bool(group_of(optimizers, parameter)["weight_decay"]) != vector, name


def test_sparse_adam_equals_dense_adam_on_touched_rows():
    """Rows that every step touches move as under dense Adam, however often a step looks them up.

    Others stay.
    """
    start = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    sparse, dense = (torch.nn.Parameter(start.clone()) for _ in range(2))
    by_rows = torch.optim.SparseAdam([sparse], lr=0.03, betas=(0.9, 0.95))
    by_table = torch.optim.Adam([dense], lr=0.03, betas=(0.9, 0.95))
    rows = torch.tensor([[3, 3, 7], [11, 29, 3]])
    for step in range(6):
        for table, optimizer, is_sparse in ((sparse, by_rows, True), (dense, by_table, False)):
            optimizer.zero_grad()
            looked_up = torch.nn.functional.embedding(rows, table, sparse=is_sparse)
            (
                looked_up * torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(step))
            ).sum().backward()
            optimizer.step()
    touched = [3, 7, 11, 29]
    others = [row for row in range(30) if row not in touched]
    torch.testing.assert_close(sparse[touched], dense[touched], rtol=1e-5, atol=1e-6)
    assert torch.equal(sparse[others], start[others])
    assert (sparse[touched] - start[touched]).abs().min() > 0


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("kind", ["engram", "mla_streams"])
def test_a_few_steps_learn_a_batch(kind, optimizer):
    model, batch = model_of(kind), tokens(4, 17)
    training = replace(TRAINING, learning_rate=1e-2, optimizer=optimizer)
    optimizers = make_optimizers(model, training)
    losses = []
    for _ in range(30):
        loss = window_losses(model(batch[:, :-1]), batch[:, 1:]).mean()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]


def schedule(name: str, steps: int, **changes) -> TrainingSpec:
    tokens_ = steps * TRAINING.window * TRAINING.batch_windows
    return replace(TRAINING, schedule=name, tokens=tokens_, **changes)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["cosine", "wsd", "step"]),
    st.integers(1, 300),
    st.floats(0, 0.5),
    st.floats(0.01, 1),
)
def test_schedules_warm_up_and_end_where_they_should(name, steps, warmup, final):
    training = schedule(name, steps, warmup_share=warmup, final_share=final)
    factors = [schedule_factor(training, step) for step in range(steps)]
    warm = max(1, round(warmup * steps))
    assert all(0 < f <= 1 + 1e-12 for f in factors)
    assert factors[:warm] == pytest.approx([(i + 1) / warm for i in range(min(warm, steps))])
    after = factors[warm:]
    assert after == sorted(after, reverse=True)
    if len(after) > 1 and (name != "step" or steps >= 10):
        assert factors[-1] == pytest.approx(final)


def test_cosine_at_its_middle():
    training = schedule("cosine", 101, warmup_share=0.01, final_share=0.1)
    assert schedule_factor(training, 1) == 1
    assert schedule_factor(training, 50) == pytest.approx(0.55 + 0.45 * math.cos(math.pi * 49 / 99))


def test_wsd_is_stable_then_straight():
    training = schedule("wsd", 100, warmup_share=0.1, final_share=0.0, decay_share=0.2)
    assert [schedule_factor(training, step) for step in (10, 50, 79)] == [1, 1, 1]
    assert schedule_factor(training, 89) == pytest.approx(0.5)


def test_step_decay_is_deepseek_llms():
    """31.6 % of the peak after 80 % of the steps, 10 % after 90 %."""
    training = schedule("step", 1000, warmup_share=0.02, final_share=0.1, decay_share=0.2)
    factors = [round(schedule_factor(training, step), 3) for step in (20, 799, 800, 899, 900, 999)]
    assert factors == [1, 1, 0.316, 0.316, 0.1, 0.1]


def test_learning_rates_follow_the_factor():
    optimizers = make_optimizers(model_of(), TRAINING)
    set_learning_rates(optimizers, 0.25)
    set_learning_rates(optimizers, 0.5)
    rates = {group["lr"] / TRAINING.learning_rate for o in optimizers for group in o.param_groups}
    assert sorted(rates) == pytest.approx([0.5, 2.5])
