from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from analysis.runs.table import check_table
from analysis.simulation.sweeps import Noise
from analysis.sweep.sweep_analysis import analyse_sweep
from engram_sweep.errors import UserError
from tests.analysis.tables import sweep, with_arms

BAD = {
    "no rows": (lambda t: t.iloc[:0], "no finished runs"),
    "foreign": (lambda t: t.rename(columns={"rho": "lr"}), "column 'rho' is missing"),
    "text for a loss": (
        lambda t: t.assign(validation_loss="low"),
        "column 'validation_loss' holds 'low'",
    ),
    "rho in percent": (lambda t: t.assign(rho=t["rho"] * 100), "expected a share between 0 and 1"),
    "no rho": (lambda t: t.assign(rho=np.nan), "column 'rho' holds nan"),
    "half a seed": (
        lambda t: t.assign(seed=t["seed"] + 0.5),
        "column 'seed' holds 0.5; expected an integer",
    ),
    "unknown arm": (lambda t: t.assign(arm="mlp"), "column 'arm' holds 'mlp'; expected one of"),
    "two scales": (
        lambda t: t.assign(scale=np.where(t["seed"] == 0, "tiny", "small")),
        "mixes small, tiny",
    ),
    "two schemas": (
        lambda t: t.assign(schema_version=np.where(t["seed"] == 0, 1, 2)),
        "mixes 1, 2",
    ),
    "duplicates": (
        lambda t: pd.concat([t, t.iloc[[4]]]),
        "two runs of arm engram at rho 0.6, seed 0",
    ),
    "negative losses": (
        lambda t: t.assign(validation_loss=-1.25),
        "column 'validation_loss' holds -1.25; expected nats/token",
    ),
    "losses of text": (
        lambda t: t.assign(validation_loss="low"),
        "column 'validation_loss' holds",
    ),
    **{
        f"{what} for a {column}": (
            lambda t, column=column, values=values: t.assign(**{column: values * (len(t) // 3)}),
            f"column '{column}' holds {shown}.*; expected a number",
        )
        for column in ("validation_loss", "rho", "seed", "wall_seconds")
        for what, values, shown in (
            ("truth value", [True, False, True], "True"),
            ("a truth value among numbers", [0.5, 0.25, True], "True"),
            ("bytes", [b"1", b"0", b"1"], "b'1'"),
            ("list", [[1.0], [0.5], [1.0]], r"\[1.0\]"),
            ("duration", [pd.Timedelta(seconds=1)] * 3, "Timedelta"),
            ("time", [pd.Timestamp(0)] * 3, "Timestamp"),
            ("text", ["a day", "b", "c"], "'a day'"),
        )
    },
    "a seed that no integer holds": (
        lambda t: t.assign(seed=1e300),
        "column 'seed' holds 1e\\+300; expected an integer below 2\\^53",
    ),
    "a seed of a float that has neighbours": (
        lambda t: t.assign(seed=2.0**53),
        "column 'seed' holds 9007199254740992.0; expected an integer below 2\\^53, or a column",
    ),
    "a seed beyond 64 bits": (
        lambda t: t.assign(seed=[2**70] * len(t)),
        "column 'seed' holds 1180591620717411303424; expected an integer",
    ),
    "an endless seed": (lambda t: t.assign(seed=np.inf), "column 'seed' holds inf; expected"),
    "sums that are no numbers": (
        lambda t: t.assign(validation_loss=1.6e308),
        "column 'validation_loss' holds 1.6e\\+308; expected nats/token, at most 1e\\+06",
    ),
    "one point": (
        lambda t: t[t["rho"] == 1],
        "1 value of rho has a loss; expected at least 3",
    ),
    "all diverged": (
        lambda t: t.assign(validation_loss=np.nan),
        "all 27 runs along rho failed or diverged",
    ),
    "too few points": (
        lambda t: t[t["rho"] > 0.85],
        "2 values of rho have a loss; expected at least 3",
    ),
    "controls only": (lambda t: t.assign(arm="dense", seed=range(len(t))), "so there is no curve"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_refused_in_one_line(case):
    spoil, message = BAD[case]
    with pytest.raises(UserError, match=message) as caught:
        check_table(spoil(sweep()), "some.parquet")
    assert str(caught.value).startswith("some.parquet: ")
    assert "\n" not in str(caught.value)


def test_large_seeds_of_neighbours_are_two():
    table = sweep(seeds=2)
    table["seed"] += 2**53
    assert set(check_table(table, "sweep").curve["seed"]) == {2**53, 2**53 + 1}


def test_numbers_may_be_stored_as_decimals_or_with_gaps():
    table = sweep()
    stored = table.assign(
        validation_loss=[Decimal(repr(loss)) for loss in table["validation_loss"]],
        wall_seconds=[None, *[1] * (len(table) - 1)],
        seed=table["seed"].astype(object),
    )
    found, wanted = check_table(stored, "x").curve, check_table(table, "x").curve
    for column in ("rho", "seed", "validation_loss"):
        assert found[column].tolist() == wanted[column].tolist()


def test_a_run_that_diverged_to_a_huge_loss_is_one_that_failed():
    table = sweep()
    table.loc[3, ["outcome", "validation_loss"]] = ["diverged", 1e30]
    assert len(check_table(table, "sweep").failed) == 1


def test_nothing_is_dropped_silently():
    table = with_arms(sweep(noise=Noise(diverged=0.2)))
    sorted_runs = check_table(table, "sweep")
    assert len(sorted_runs.failed) > 0
    assert len(sorted_runs.curve) + len(sorted_runs.arms) + len(sorted_runs.failed) == len(table)


def test_a_run_marked_as_diverged_is_no_result_even_with_a_number():
    table = sweep()
    table.loc[3, "outcome"] = "diverged"
    assert len(check_table(table, "sweep").failed) == 1


def test_three_columns_are_enough():
    table = sweep().loc[:, ["rho", "seed", "validation_loss"]]
    assert analyse_sweep(table).gain_over_moe == analyse_sweep(sweep()).gain_over_moe
