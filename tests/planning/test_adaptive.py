"""Candidates, pilot and price of an adaptive scale; its runs are those of the grid."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.errors import UserError
from engram_sweep.planning.adaptive import (
    Cell,
    Design,
    Rules,
    at_most,
    by_cell,
    design_of,
    pilot,
    pilot_of,
    rules_of,
)
from engram_sweep.planning.plan import Plan, make_plan
from tests.examples import scale

LENGTHS = [5, 10, 20]
CHANGES = {"training__tokens": None, "sweep__tokens_per_active": LENGTHS, "sweep__seeds": [0, 1, 2]}


def adaptive_plan(**changes: object) -> Plan:
    return make_plan(scale(**CHANGES, sweep__design="adaptive", **changes))


def test_candidates_are_the_runs_of_the_grid_by_id() -> None:
    grid = make_plan(scale(**CHANGES))
    assert [run.run_id for run in adaptive_plan().runs] == [run.run_id for run in grid.runs]


def test_every_candidate_has_its_cell_and_seed() -> None:
    plan = adaptive_plan()
    design = design_of(plan)
    assert len(design.cells) == 6 * 3
    assert design.lengths == (5, 10, 20)
    found = by_cell(plan, design)
    assert len(found) == len(plan.runs) == 54
    for (number, seed), run in found.items():
        cell = design.cells[number]
        assert (run.spec.rho, run.axes.get("tokens_per_active")) == (cell.rho, cell.length)
        assert run.spec.seed == seed
        assert run.flops == cell.flops
    assert [design.cells[i].rho for i in design.at(10)] == sorted({c.rho for c in design.cells})


def test_the_pilot_has_pairs_at_the_shortest_length_and_at_the_longest_anchor() -> None:
    plan = adaptive_plan()
    found = [
        (run.axes.get("tokens_per_active"), run.spec.rho, run.spec.seed)
        for run in pilot_of(plan).runs
    ]
    by_length = {length: [one for one in found if one[0] == length] for length in LENGTHS}
    assert {length: len(runs) for length, runs in by_length.items()} == {5: 10, 10: 5, 20: 4}
    assert {(20, 1.0, 0), (20, 1.0, 1), (20, 0.0, 0)} <= set(found)
    assert {seed for _, _, seed in by_length[5]} == {0, 1}


@settings(max_examples=40, deadline=None)
@given(rhos=st.integers(2, 12), lengths=st.integers(3, 6), seeds=st.integers(2, 5))
def test_a_pilot_of_any_design_is_part_of_it_and_holds_both_ends(
    rhos: int, lengths: int, seeds: int
) -> None:
    cells = tuple(Cell(i / (rhos - 1), j + 1.0, 1.0) for j in range(lengths) for i in range(rhos))
    design = Design(cells, tuple(range(seeds)), Rules(0.2, 6, 4, 2))
    places = pilot(design)
    assert len(set(places)) == len(places)
    assert all(seed in design.seeds for _, seed in places)
    for length in design.lengths:
        trained = {cells[cell].rho for cell, _ in places if cells[cell].length == length}
        assert {0.0, 1.0} <= trained


def test_the_most_that_it_may_cost_is_the_pilot_and_the_longest_of_the_rest() -> None:
    plan = adaptive_plan(sweep__adaptive={"batch": 4, "looks": 3})
    most, first = at_most(plan), pilot_of(plan)
    more = {run.run_id for run in most.runs} - {run.run_id for run in first.runs}
    assert len(more) == 4 * 2
    lengths = [run.axes.get("tokens_per_active") for run in most.runs if run.run_id in more]
    assert lengths == [20] * 8
    # More batches than candidates: all of them, at most.
    whole = adaptive_plan(sweep__adaptive={"batch": 100})
    assert at_most(whole).runs == whole.runs


def test_rules_are_plain_data_with_the_candidates() -> None:
    rules = rules_of(adaptive_plan(sweep__adaptive={"width": 0.3}))
    assert rules["width"] == 0.3
    assert rules["lengths"] == LENGTHS
    assert rules["seeds"] == [0, 1, 2]
    assert len(rules["rho"]) == 6


def test_two_lengths_of_the_same_tokens_are_one_line() -> None:
    close = {**CHANGES, "sweep__tokens_per_active": [5, 10, 10.000001]}
    plan = make_plan(scale(**close, sweep__design="adaptive"))
    with pytest.raises(UserError, match=r"example\.yaml: sweep\.tokens_per_active: expected"):
        design_of(plan)
