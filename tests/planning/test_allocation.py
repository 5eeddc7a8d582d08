from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from engram_sweep.config.scale import Scale
from engram_sweep.errors import UserError
from engram_sweep.planning.allocation import ACTIVE_TOLERANCE, TOTAL_TOLERANCE, allocate
from engram_sweep.planning.primes import is_prime
from tests.examples import load, scale


@st.composite
def scales(draw) -> Scale:
    """Scales large enough for the tolerances.

    Whole shared widths and whole rows are small steps.
    """
    layers = draw(st.integers(3, 6))
    width = draw(st.sampled_from([16, 32, 48]))
    top_k = draw(st.integers(1, 4))
    dense = draw(st.integers(0, 1))
    return scale(
        model__d_model=draw(st.sampled_from([64, 96, 128])),
        model__n_layers=layers,
        model__n_heads=draw(st.sampled_from([2, 4])),
        model__n_kv_heads=draw(st.sampled_from([1, 2])),
        model__expert_width=width,
        model__top_k=top_k,
        model__routed_experts=top_k + draw(st.integers(16, 60)),
        model__shared_width=draw(st.integers(160, 300)),
        **({"model__dense_layers": 1, "model__dense_width": 300} if dense else {}),
        memory__layers=sorted(draw(st.sets(st.integers(0, layers - 1), min_size=1, max_size=2))),
        memory__heads=draw(st.integers(3, 6)),
        memory__head_dim=draw(st.sampled_from([1, 2, 4])),
        memory__max_order=draw(st.sampled_from([2, 3, 4])),
        sweep__iso=draw(st.sampled_from(["strict", "paper"])),
    )


@given(scales(), st.floats(0, 0.8), st.sampled_from(["engram", "over_encoding"]))
@settings(max_examples=120, deadline=None)
def test_every_point_meets_the_budget_of_the_anchor(example, rho, arm):
    anchor = allocate(example, 1.0).ledger
    point = allocate(example, rho, arm)
    found = point.ledger
    assert abs(found.params_total - anchor.params_total) <= TOTAL_TOLERANCE * anchor.params_total
    if example.sweep.iso == ("strict",):
        assert (
            abs(found.params_active - anchor.params_active)
            <= ACTIVE_TOLERANCE * anchor.params_active
        )
        assert (
            abs(found.flops_per_token - anchor.flops_per_token)
            <= ACTIVE_TOLERANCE * anchor.flops_per_token
        )
    else:
        assert point.geometry.shared_width == allocate(example, 1.0).geometry.shared_width
    model = example.model
    assert point.rho == pytest.approx(
        (point.geometry.routed_experts - model.top_k) / (model.routed_experts - model.top_k)
    )
    # The nearest expert count or a neighbour of it whose remainder fits.
    assert abs(point.rho - rho) * (model.routed_experts - model.top_k) <= 2


@given(scales(), st.floats(0, 0.8))
@settings(max_examples=60, deadline=None)
def test_primes_are_distinct_over_heads_orders_and_layers(example, rho):
    memory = allocate(example, rho).geometry.memory
    assert memory is not None
    rows = [p for table in memory.rows for order in table for p in order]
    assert (
        len(rows)
        == len(example.memory.layers) * (example.memory.max_order - 1) * example.memory.heads
    )
    assert len(set(rows)) == len(rows)
    assert all(is_prime(p) for p in rows)


@given(scales(), st.lists(st.floats(0, 0.8), min_size=2, max_size=5))
@settings(max_examples=40, deadline=None)
def test_experts_grow_and_tables_shrink_with_rho(example, rhos):
    points = [allocate(example, rho) for rho in sorted(rhos)]
    experts = [p.geometry.routed_experts for p in points]
    tables = [p.ledger.params_table for p in points]
    assert experts == sorted(experts)
    assert tables == sorted(tables, reverse=True)


def test_rho_one_is_the_anchor():
    anchor = allocate(scale(), 1.0)
    assert (anchor.arm, anchor.rho) == ("moe", 1.0)
    assert anchor.geometry.memory is None
    assert anchor.geometry.routed_experts == 40
    assert anchor.geometry.shared_width == (160,) * 4
    assert allocate(scale(), 0.3, "moe") == anchor


def test_rho_zero_keeps_top_k_experts():
    assert allocate(scale(), 0.0).geometry.routed_experts == 3


def test_one_row_is_the_compute_without_the_memory():
    point, anchor = allocate(scale(), 0.0, "one_row"), allocate(scale(), 1.0).ledger
    memory = point.geometry.memory
    assert point.geometry.routed_experts == 40
    assert memory is not None
    assert {p for table in memory.rows for order in table for p in order} == {1}
    assert (
        abs(point.ledger.params_active - anchor.params_active)
        <= ACTIVE_TOLERANCE * anchor.params_active
    )


def test_dense_activates_as_much_and_holds_nothing_sparse():
    point, anchor = allocate(scale(), 1.0, "dense"), allocate(scale(), 1.0).ledger
    assert point.geometry.memory is None
    assert point.ledger.params_total == point.ledger.params_active
    assert (
        abs(point.ledger.params_active - anchor.params_active)
        <= ACTIVE_TOLERANCE * anchor.params_active
    )


def test_paper_iso_changes_only_experts_and_rows():
    strict, paper = allocate(scale(), 0.5), allocate(scale(sweep__iso="paper"), 0.5)
    anchor = allocate(scale(), 1.0)
    assert (
        paper.geometry.shared_width == anchor.geometry.shared_width != strict.geometry.shared_width
    )
    assert paper.ledger.params_active > anchor.ledger.params_active


def test_no_room_in_the_shared_expert_names_the_constraint_and_what_works():
    with pytest.raises(
        UserError, match=r"at rho = 0\.5 \(engram\): P_act: .* raise model\.shared_width by (\d+)"
    ) as no:
        allocate(scale(model__shared_width=1), 0.5)
    more = int(str(no.value).split("model.shared_width by ")[1].split()[0])
    assert allocate(scale(model__shared_width=1 + more), 0.5)


def test_no_rows_left_names_the_nearest_rho_that_works():
    with pytest.raises(
        UserError, match=r"distinct primes .*; the nearest rho that works is (0\.\d+)"
    ) as no:
        allocate(scale(memory__heads=50, memory__head_dim=4, model__shared_width=900), 0.9)
    nearest = float(str(no.value).rsplit(" ", 1)[1])
    assert allocate(scale(memory__heads=50, memory__head_dim=4, model__shared_width=900), nearest)


def test_too_coarse_widths_say_so():
    with pytest.raises(UserError, match=r"shared widths come in units of .* too small for 0\.1%"):
        allocate(scale(model__n_layers=1, memory__layers=[0], model__shared_width=40), 0.0, "dense")


def test_over_encoding_in_a_model_too_narrow_for_its_slices_is_one_line():
    with pytest.raises(
        UserError, match=r"\(over_encoding\): .*expected a d_model of at least 72, got 64$"
    ):
        allocate(scale(memory__heads=24), 0.2, "over_encoding")


def test_memory_in_a_layer_that_is_not_there_is_refused():
    with pytest.raises(ValidationError, match=r"memory\.layers: expected blocks 0\.\.3, got 4"):
        scale(memory__layers=[1, 4])


@pytest.mark.parametrize("name", ["smoke", "tiny"])
def test_shipped_scales_hold_their_budget(name):
    example = load(name)
    anchor = allocate(example, 1.0).ledger
    for rho in example.sweep.rho:
        found = allocate(example, rho).ledger
        assert abs(found.params_total / anchor.params_total - 1) <= TOTAL_TOLERANCE
        assert abs(found.params_active / anchor.params_active - 1) <= ACTIVE_TOLERANCE
        assert abs(found.flops_per_token / anchor.flops_per_token - 1) <= ACTIVE_TOLERANCE
