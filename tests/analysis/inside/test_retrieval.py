import numpy as np
import pytest

from analysis.inside.retrieval import (
    analyse_retrieval,
    kind,
    retrieval_table,
    state_retrieval,
)
from engram_sweep.errors import UserError
from tests.analysis.inside.measured import FOUND, LENGTHS, retrieval_rows
from tests.analysis.tables import limits


@pytest.fixture(scope="module")
def null():
    """A memory that finds no more than its loss says."""
    return analyse_retrieval(retrieval_rows(), "demo")


@pytest.fixture(scope="module")
def finds():
    """A memory that finds a fifth more."""
    return analyse_retrieval(retrieval_rows(memory=0.2), "demo")


def test_a_better_model_finds_more_at_equal_steps_and_no_more_at_equal_loss(null):
    for hops in (0, 1):
        [hybrid] = [c for c in null.of(hops) if (c.rho, c.steps) == (0.5, LENGTHS[0])]
        assert hybrid.over_moe.low > 0.02
        assert hybrid.over_moe.value == pytest.approx(0.05, abs=0.02)
        assert hybrid.over_equal_moe.low < 0 < hybrid.over_equal_moe.high
        assert hybrid.weight == pytest.approx(0.5, abs=0.05)


def test_what_the_memory_adds_is_found_at_equal_loss(finds):
    [hybrid] = [c for c in finds.of(0) if (c.rho, c.steps) == (0.5, LENGTHS[0])]
    assert hybrid.over_equal_moe.low <= 0.2 <= hybrid.over_equal_moe.high
    assert hybrid.over_equal_moe.low > 0.1
    assert hybrid.over_moe.value == pytest.approx(0.25, abs=0.02)


def test_at_equal_loss_the_interval_holds_a_true_null_as_often_as_it_says():
    held = []
    for seed in range(60):
        result = analyse_retrieval(retrieval_rows(seed=seed), "demo")
        for hops in result.hops:
            [hybrid] = [c for c in result.of(hops) if (c.rho, c.steps) == (0.5, LENGTHS[0])]
            low, _, high = limits(hybrid.over_equal_moe)
            held.append(low <= 0 <= high)
    # 90 % nominal, 120 intervals: three standard errors are 0.08.
    assert np.mean(held) == pytest.approx(0.9, abs=0.09)


def test_cells_are_exact_matches_of_their_runs(null):
    rows = retrieval_rows()
    for cell in null.of(1, 32):
        here = rows.loc[
            (rows["hops"] == 1) & (rows["distance"] == 32)
            & (rows["rho"] == cell.rho) & (rows["steps"] == cell.steps)
        ]  # fmt: skip
        assert cell.match.value == pytest.approx(here["correct"].sum() / here["questions"].sum())
    pure = [cell for cell in null.of(0) if cell.rho == 1]
    assert pure[0].match.value == pytest.approx(FOUND, abs=0.02)
    assert all(cell.over_moe.value is None for cell in pure)
    assert all(cell.guess == pytest.approx(1 / 8) for cell in null.cells)
    assert (null.texts, null.best) == (40, 0.5)


def test_sentences_say_what_is_not_told_apart_and_what_is(null, finds):
    said = state_retrieval(null)
    assert said[0].startswith("Retrieval at rho 0.50 (40 texts of each kind, 4 seeds)")
    assert said[1].startswith("Needles: ")
    assert "at equal validation loss not told apart" in said[1]
    assert "at equal validation loss +" in state_retrieval(finds)[1]
    assert "extrapolated" not in " ".join(said)
    assert len(retrieval_table(null)) == 2 * 3 * 4


def test_at_the_floor_nothing_is_compared():
    rows = retrieval_rows()
    rows["correct"] = np.random.default_rng(0).binomial(50, 1 / 9, len(rows))
    said = state_retrieval(analyse_retrieval(rows, "demo"))
    for sentence in said[1:]:
        assert sentence.endswith("said 12%: names are not looked up, so nothing is compared.")


def test_a_loss_that_pure_moe_never_had_is_extrapolated_and_said_to_be():
    rows = retrieval_rows()
    rows.loc[(rows["rho"] == 0.5) & (rows["steps"] == LENGTHS[0]), "validation_loss"] -= 0.1
    said = state_retrieval(analyse_retrieval(rows, "demo"))
    assert "extrapolated to 1.5 of the way from 100 to 200 steps" in said[1]


def test_one_length_has_no_equal_loss():
    rows = retrieval_rows()
    result = analyse_retrieval(rows.loc[rows["steps"] == LENGTHS[0]], "demo")
    assert all(cell.over_equal_moe.value is None for cell in result.cells)
    assert "equal validation loss" not in state_retrieval(result)[1]


def test_a_sweep_without_pure_moe_is_one_line():
    rows = retrieval_rows()
    for rho in (0.5, 1.0):
        with pytest.raises(UserError, match="demo: expected runs at rho = 1 and below"):
            analyse_retrieval(rows.loc[rows["rho"] == rho], "demo")


def test_kinds_have_names():
    assert [kind(hops) for hops in range(3)] == [
        "needles", "chains of 1 link", "chains of 2 links"
    ]  # fmt: skip
