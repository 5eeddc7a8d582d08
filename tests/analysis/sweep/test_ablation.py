import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.runs.table import check_table
from analysis.sweep.ablation import analyse_ablation, has_variants
from analysis.sweep.sweep_analysis import analyse_sweep
from engram_sweep.errors import UserError
from engram_sweep.planning.arms import is_variant
from tests.analysis.tables import ablation, limits, sweep

WORTH = {"no_gate": 0.02, "no_convolution": 0.0, "order_4": -0.03}
AT: dict[str, Any] = {"sweep__variant_rho": [0.6]}


def test_what_a_part_is_worth_comes_back() -> None:
    found = analyse_ablation(ablation(WORTH, seeds=4, **AT), "demo")
    assert [one.label for one in found.effects] == ["no convolution", "no gate", "order 4"]
    for one in found.effects:
        low, value, high = limits(one.difference)
        truth = WORTH[one.arm.partition("/")[2]]
        assert low <= truth <= high
        assert value == pytest.approx(truth, abs=0.005)
        assert (one.runs, one.size) == (4, None)
    # Four cells of four seeds each.
    assert (found.dof, found.seeds) == (9, 4)
    assert found.sigma == pytest.approx(0.002, rel=0.6)
    (whole,) = found.wholes
    assert whole.moe.value == pytest.approx(0.0117, abs=0.006)
    assert whole.rho == found.effects[0].rho


def test_differences_are_means_of_pairs() -> None:
    table = ablation(WORTH, **AT)
    found = analyse_ablation(table, "demo")
    by_arm = {
        arm: of_arm.set_index("seed")["validation_loss"]
        for arm, of_arm in table.loc[np.isclose(table["rho"], found.wholes[0].rho)].groupby("arm")
    }
    for one in found.effects:
        pairs = by_arm[one.arm] - by_arm["engram"]
        assert one.difference.value == pytest.approx(pairs.mean())
    at_one = table.loc[table["arm"] == "moe"].set_index("seed")["validation_loss"]
    assert found.wholes[0].moe.value == pytest.approx((at_one - by_arm["engram"]).mean())


def test_it_says_what_a_variant_changes() -> None:
    found = analyse_ablation(ablation(WORTH, **AT), "demo")
    assert {one.changed for one in found.effects} == {
        f"hash_seed: {at + 1}" for at in range(len(WORTH))
    }
    plain = ablation(WORTH, **AT).drop(columns="spec")
    assert {one.changed for one in analyse_ablation(plain, "demo").effects} == {""}


def test_a_field_that_a_variant_has_at_its_default_is_said() -> None:
    table = ablation({"gated": 0.0}, memory__gate=False, **AT)
    spec = json.loads(table.loc[table["arm"] == "engram/gated", "spec"].iloc[0])
    del spec["geometry"]["memory"]["hash_seed"]
    spec["geometry"]["memory"].pop("gate")
    table.loc[table["arm"] == "engram/gated", "spec"] = json.dumps(spec)
    assert analyse_ablation(table, "demo").effects[0].changed == "gate: default, hash_seed: default"


def test_every_rho_that_has_variants_has_its_own_whole_module() -> None:
    table = ablation({"no_gate": 0.02}, noise=0.0)
    found = analyse_ablation(table, "demo")
    assert len(found.effects) == len(found.wholes) == 5
    for one, whole in zip(found.effects, found.wholes, strict=True):
        assert one.rho == whole.rho
        assert one.difference.value == pytest.approx(0.02)
        assert one.loss - whole.loss == pytest.approx(0.02)


def test_tables_of_given_size_are_places_too() -> None:
    table = ablation(
        {"no_gate": 0.02},
        sweep__rho=[1.0],
        sweep__iso="paper",
        sweep__rows_per_head=[100, 1000],
        noise=0.0,
    )
    found = analyse_ablation(table, "demo")
    assert [one.size for one in found.effects] == [one.size for one in found.wholes] == [100, 1000]
    assert [one.difference.value for one in found.effects] == pytest.approx([0.02, 0.02])


def test_one_seed_has_differences_and_no_intervals() -> None:
    found = analyse_ablation(ablation(WORTH, seeds=1, **AT), "demo")
    assert all(one.difference.value is not None for one in found.effects)
    assert {(one.difference.low, one.p) for one in found.effects} == {(None, None)}
    assert found.wholes[0].moe.low is None


def test_a_run_without_a_loss_is_left_out_and_said() -> None:
    table = ablation(WORTH, **AT)
    lost = np.flatnonzero(table["arm"] == "engram/no_gate")[0]
    table.loc[lost, "validation_loss"] = np.nan
    found = analyse_ablation(table, "demo")
    assert found.failed == ("engram/no_gate",)
    assert {one.arm: one.runs for one in found.effects}["engram/no_gate"] == 2
    assert found.dof == 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t[~t["arm"].map(is_variant)], "expected runs of variants"),
        (lambda t: t[t["arm"] != "engram"], "expected finished runs of the whole module"),
        (lambda t: pd.concat([t, t.tail(1)]), "two runs of arm engram/.* expected one each"),
        (lambda t: t.assign(arm="engram/"), "column 'arm' holds 'engram/'"),
        (lambda t: t.drop(columns="seed"), "column 'seed' is missing"),
    ],
)
def test_a_table_that_shows_no_variants_is_one_line(change, said: str) -> None:
    with pytest.raises(UserError, match=said):
        analyse_ablation(change(ablation(WORTH, **AT)), "demo")


def test_variants_move_nothing_of_the_curve() -> None:
    """The readings of a table with variants are those of the table without them, to the bit."""
    table = ablation(WORTH, noise=0.002)
    plain = table.loc[~table["arm"].map(is_variant)]
    assert has_variants(table)
    assert not has_variants(plain)
    assert not has_variants(sweep())
    sorted_runs = check_table(table, "demo")
    assert set(sorted_runs.curve["arm"]) == {"moe", "engram"}
    assert sorted_runs.arms.empty
    assert len(sorted_runs.variants) == len(table) - len(plain)
    one, other = analyse_sweep(table, "demo"), analyse_sweep(plain, "demo")
    assert one.rho_star == other.rho_star
    assert one.gain_over_moe == other.gain_over_moe
    assert one.test == other.test
    np.testing.assert_array_equal(one.means.cov, other.means.cov)
    assert one.arms == other.arms == ()
