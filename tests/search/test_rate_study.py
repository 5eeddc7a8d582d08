"""The search at one rho, its trainings invented: parabolas, cliffs, divergence, interruptions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.search.rate_study import (
    FIRST,
    MIN_SEEDS_TO_PRUNE,
    MIN_STEP,
    SPAN,
    RateStudy,
    free_place,
)

OWN = 0.01
Loss = Callable[[float, int], float]


def parabola(best: float, noise: float = 0.0) -> Loss:
    """Lowest at `best` octaves from OWN; the noise depends on rate and seed alone."""

    def loss(rate: float, seed: int) -> float:
        own = np.random.default_rng([round(rate * 1e9), seed]).standard_normal()
        return 1.2 + 0.005 * (math.log2(rate / OWN) - best) ** 2 + 0.001 * seed + noise * own

    return loss


def go(study: RateStudy, loss: Loss, steps: float = math.inf) -> list[tuple[float, int]]:
    """Train what the study asks for; return the runs in their order."""
    trained = []
    while steps > 0 and (asked := study.ask()) is not None:
        assert study.ask() == asked, "it asks the same until it learns"
        rate, seeds = asked
        study.learn(rate, {seed: loss(rate, seed) for seed in seeds})
        trained += [(rate, seed) for seed in seeds]
        steps -= 1
    return trained


@pytest.mark.parametrize("best", [-1.0, 0.0, 0.7])
def test_it_finds_the_lowest_rate_of_a_parabola(best: float) -> None:
    study = RateStudy(OWN, (0, 1), 8)
    go(study, parabola(best))
    means = {rate: sum(losses.values()) for rate, losses in study.losses.items()}
    assert len(means) == 8
    assert abs(math.log2(min(means, key=means.__getitem__) / OWN) - best) < 0.3
    assert {OWN * factor for factor in FIRST} <= set(means)
    assert all(OWN / SPAN <= rate <= OWN * SPAN for rate in means)


@settings(max_examples=10, deadline=None)
@given(
    stops=st.lists(st.integers(0, 6), min_size=1, max_size=3),
    seeds=st.integers(1, 6),
    best=st.floats(-2.5, 2.5),
)
def test_stopped_anywhere_it_trains_nothing_twice_and_ends_with_as_many_rates(
    stops: list[int], seeds: int, best: float
) -> None:
    loss = parabola(best, 0.003)
    trained: list[tuple[float, int]] = []
    study = RateStudy(OWN, range(seeds), 5)
    for stop in [*stops, math.inf]:
        known: dict[float, dict[int, float]] = {}
        for rate, seed in trained:
            known.setdefault(rate, {})[seed] = loss(rate, seed)
        study = RateStudy(OWN, range(seeds), 5, known)
        trained += go(study, loss, stop)
    assert len(trained) == len(set(trained))
    assert len(study.losses) == 5
    assert OWN in study.losses
    for rate, losses in study.losses.items():
        least = MIN_SEEDS_TO_PRUNE if rate in study.given_up else seeds
        assert len(losses) >= least
    # Asked for more, it goes on from those.
    more = RateStudy(OWN, range(seeds), 6, study.losses)
    assert not set(go(more, loss)) & set(trained)
    assert len(more.losses) == 6


def test_a_rate_that_is_surely_worse_gets_no_more_than_the_seeds_that_show_it() -> None:
    study = RateStudy(OWN, range(8), 3)
    go(study, parabola(1.0))
    assert study.given_up == {OWN / 2}
    assert len(study.losses[OWN / 2]) == MIN_SEEDS_TO_PRUNE
    assert len(study.losses[OWN]) == len(study.losses[OWN * 2]) == 8


@pytest.mark.parametrize("seeds", range(1, MIN_SEEDS_TO_PRUNE + 1))
def test_with_few_seeds_nothing_is_given_up(seeds: int) -> None:
    study = RateStudy(OWN, range(seeds), 4)
    go(study, parabola(1.0))
    assert not study.given_up
    assert all(len(losses) == seeds for losses in study.losses.values())


def test_a_rate_that_diverges_is_left_and_the_search_goes_on_below() -> None:
    def loss(rate: float, seed: int) -> float:
        return math.nan if rate > 1.5 * OWN else parabola(0.3)(rate, seed)

    study = RateStudy(OWN, range(6), 6)
    go(study, loss)
    diverged = {rate for rate in study.losses if rate > 1.5 * OWN}
    assert OWN * 2 in diverged
    assert diverged <= study.given_up
    assert all(len(study.losses[rate]) == MIN_SEEDS_TO_PRUNE for rate in diverged)
    assert len(study.losses) == 6
    assert len(set(study.losses) - diverged) >= 3


def test_a_search_in_which_everything_diverges_ends() -> None:
    study = RateStudy(OWN, range(6), 4)
    go(study, lambda rate, seed: math.nan)
    assert len(study.losses) == 4
    assert study.given_up == set(study.losses)


def test_runs_of_other_seeds_count_for_the_rate_but_are_not_asked_for() -> None:
    loss = parabola(0.0)
    known = {OWN: {seed: loss(OWN, seed) for seed in range(5)}}
    study = RateStudy(OWN, (0, 1), 3, known)
    trained = go(study, loss)
    assert {seed for _, seed in trained} == {0, 1}
    assert OWN not in {rate for rate, _ in trained}


@given(place=st.floats(-2, 2), known=st.lists(st.floats(-2, 2), max_size=30))
def test_proposals_keep_their_distance_as_far_as_there_is_room(
    place: float, known: list[float]
) -> None:
    found = free_place(place, known)
    assert abs(found) <= math.log2(SPAN)
    gap = min((abs(found - other) for other in known), default=math.inf)
    assert gap > 0
    if len(known) < math.log2(SPAN) / MIN_STEP:  # each takes a step on both of its sides
        assert gap >= 0.99 * MIN_STEP
    if all(abs(place - other) >= MIN_STEP for other in known):
        assert found == place
