import pandas as pd
import pytest

from analysis.inside.suppress import (
    ALL,
    CLASSES,
    MODES,
    analyse_suppress,
    classes_of,
    state_suppress,
    suppress_table,
)  # fmt: skip
from engram_sweep.errors import UserError
from tests.analysis.inside.measured import strata_rows

COST = {"whole": 0.0, "skipped": 1.0, "shuffled": 2.0, "mean row": 0.9,
        "skipped, retrained": 0.4, "whole, retrained": 0.01}  # fmt: skip


def suppress_rows() -> pd.DataFrame:
    """Every mode costs what COST says at every token; half of the right answers stay."""
    rows = strata_rows()
    frames = [rows[rows["rho"] == 1].assign(mode="whole")]
    for mode, cost in COST.items():
        some = rows[rows["rho"] < 1].assign(mode=mode)
        some["loss"] = some["loss"] + cost * some["tokens"]
        if mode == "skipped":
            some["correct"] = some["correct"] / 2
        frames.append(some)
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def result():
    return analyse_suppress(suppress_rows(), "demo")


def test_costs_and_shares_are_those_that_were_planted(result):
    assert result.rhos == (0.0, 0.25, 0.5, 0.75)
    assert result.best == 0.5
    for mode in MODES:
        assert result.at(0.5, ALL, mode).cost.value == pytest.approx(COST[mode])
    skipped = result.at(0.5, "frequent", "skipped")
    assert skipped.retained.value == pytest.approx(0.5)
    assert skipped.accuracy.value == pytest.approx(0.3)
    assert skipped.cost.low <= 1.0 <= skipped.cost.high + 1e-9


def test_classes_are_disjoint_and_are_all(result):
    rows = suppress_rows()
    assert set(classes_of(rows)) == set(CLASSES) - {ALL}
    shares = [result.at(0.5, kind, "whole").tokens for kind in CLASSES]
    assert shares[0] == pytest.approx(1)
    assert sum(shares[1:]) == pytest.approx(1)
    assert result.moe[ALL] == pytest.approx(
        rows.loc[rows["rho"] == 1, "loss"].sum() / rows.loc[rows["rho"] == 1, "tokens"].sum()
    )


def test_sentences_have_the_controls_and_absolute_values(result):
    said = " ".join(state_suppress(result))
    assert "Suppression at rho 0.50" in said
    assert "skipping the memory costs 1.0000 [1.0000, 1.0000]" in said
    assert "pure MoE" in said
    assert "without it, 0.4000" in said
    assert "with it in place 0.0100" in said
    assert "copied 50 % [50, 50] of 60%" in said
    assert len(suppress_table(result)) == 4 * len(CLASSES) * len(MODES)


def test_a_sweep_without_memory_is_one_line():
    rows = suppress_rows()
    with pytest.raises(UserError, match="demo: expected runs with a memory, found none"):
        analyse_suppress(rows.loc[rows["rho"] == 1], "demo")
