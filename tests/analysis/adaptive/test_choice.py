"""Floors, gaps and worth, each seen alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.adaptive.choice import GAP_EVERY, Knowledge, Places, floor_is_met, next_run
from analysis.adaptive.estimate import Estimate
from analysis.adaptive.sampler import LawSampler, trial_of
from engram_sweep.planning.adaptive import pilot
from tests.analysis.adaptive.worlds import DESIGN, cell, piloted

PILOT: Places = set(pilot(DESIGN))
VAGUE = Estimate(0.6, 0.9, "")
SHARP = Estimate(0.58, 0.2, "")


@pytest.fixture(scope="module")
def known() -> Knowledge:
    import optuna

    sampler = LawSampler(DESIGN, draws=15)
    study = optuna.create_study(sampler=sampler)
    study.add_trials([trial_of(DESIGN, run) for run in piloted()])
    return sampler.read(study)


def batch(known: Knowledge, taken: Places, count: int, final: bool = False) -> list[str]:
    """Reasons of the next runs, and their places added to `taken`."""
    reasons, pending = [], set()
    for _ in range(count):
        chosen = next_run(DESIGN, known, taken, pending, final)
        assert chosen is not None
        assert (chosen.cell, chosen.seed) not in taken | pending
        pending.add((chosen.cell, chosen.seed))
        reasons.append(chosen.reason)
    taken |= pending
    return reasons


def test_the_anchor_s_floor_comes_first(known: Knowledge) -> None:
    chosen = next_run(DESIGN, replace(known, optimum=VAGUE), PILOT, set())
    assert chosen is not None
    assert chosen.cell == cell(1.0, 48.0)
    assert chosen.reason == "floor: run 3 of 3 at rho = 1 and the longest length"


def test_the_optimum_s_floor_waits_until_it_is_known_or_the_last_batch(known: Knowledge) -> None:
    taken = PILOT | {(cell(1.0, 48.0), 2)}
    vague, sharp = replace(known, optimum=VAGUE), replace(known, optimum=SHARP)
    assert not any(reason.startswith("floor") for reason in batch(vague, set(taken), 3))
    there = set(taken)
    reasons = batch(sharp, there, 3)
    # The pilot has one run at 0.5, of 0.5 and 0.6 around 0.58.
    assert [reason.partition(" around")[0] for reason in reasons[:2]] == [
        "floor: run 2 of 3",
        "floor: run 3 of 3",
    ]
    assert floor_is_met(DESIGN, SHARP, there)
    assert not floor_is_met(DESIGN, SHARP, taken)
    assert batch(vague, set(taken), 1, final=True)[0].startswith("floor: run 2 of 3 around")


def test_one_in_three_goes_to_the_largest_gap_of_the_longest_length(known: Knowledge) -> None:
    taken = PILOT | {(cell(1.0, 48.0), 2)}
    reasons = batch(replace(known, optimum=VAGUE), taken, 2 * GAP_EVERY)
    assert [reason.startswith("largest gap") for reason in reasons] == [
        False,
        False,
        True,
    ] * 2
    # The pilot has 0, 0.5 and 1 there: first a gap of 0.5 is halved, then the other.
    assert {(cell(0.25, 48.0), 0), (cell(0.75, 48.0), 0)} <= taken


def test_if_no_law_holds_the_longest_length_alone_is_filled(known: Knowledge) -> None:
    taken = set(PILOT)
    batch(Knowledge(None, None), taken, 12)
    added = taken - PILOT
    assert {DESIGN.cells[number].length for number, _ in added} == {48.0}
    assert all((number, 0) in taken for number in DESIGN.at(48.0))


def test_nothing_is_left_when_all_is_trained(known: Knowledge) -> None:
    every = {(number, seed) for number in range(len(DESIGN.cells)) for seed in DESIGN.seeds}
    assert next_run(DESIGN, known, every, set()) is None
    assert next_run(DESIGN, Knowledge(None, None), every, set()) is None
