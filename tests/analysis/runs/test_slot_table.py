import numpy as np
import pandas as pd
import pytest

from analysis.runs.slot_table import check_slot_table, has_table_sizes
from engram_sweep.errors import UserError
from tests.analysis.slots.conftest import slots
from tests.analysis.tables import sweep

BAD = {
    "a size of no number": (
        lambda t: t.assign(rows_per_head_asked=t["rows_per_head_asked"].astype(str) + " rows"),
        "column 'rows_per_head_asked' holds '.* rows'; expected a number",
    ),
    **{
        f"{size} rows": (
            lambda t, size=size: t.assign(
                rows_per_head_asked=t["rows_per_head_asked"].replace(1024, size)
            ),
            f"column 'rows_per_head_asked' holds {size}; expected a whole number of rows",
        )
        for size in (np.inf, -16, 0.5)
    },
    "sizes of lists": (
        lambda t: t.assign(rows_per_head_asked=[[16]] * len(t)),
        r"column 'rows_per_head_asked' holds \[16\]; expected a number",
    ),
    "no size": (
        lambda t: t.assign(rows_per_head_asked=t["rows_per_head_asked"].where(t["seed"] > 0)),
        "12 runs with tables have no rows_per_head_asked and others do; expected a sweep over rho",
    ),
    "two rho": (
        lambda t: t.assign(rho=np.where((t["arm"] == "engram") & (t["seed"] == 0), 0.5, 1.0)),
        r"rho varies beside rows_per_head_asked; expected one, got 0\.5, 1$",
    ),
    "duplicates": (
        lambda t: pd.concat([t, t[(t["arm"] == "engram") & (t["seed"] == 1)].iloc[[2]]]),
        "two runs of arm engram at 1024 rows per head, seed 1; expected one each",
    ),
    "all diverged": (
        lambda t: t.assign(validation_loss=np.nan),
        "all 36 runs with a table failed or diverged; no loss to fit",
    ),
    "two scales": (
        lambda t: t.assign(scale=np.where(t["seed"] == 0, "tiny", "small")),
        "mixes small, tiny",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_a_sweep_over_table_sizes_must_be(kind):
    spoil, message = BAD[kind]
    with pytest.raises(UserError, match=message) as refused:
        check_slot_table(spoil(slots()), "tiny-infinite")
    assert str(refused.value).startswith("tiny-infinite: ")
    assert "\n" not in str(refused.value)


def test_runs_are_sorted_into_what_each_is_for():
    table = slots().reset_index(drop=True)
    table.loc[5, "validation_loss"] = np.nan
    found = check_slot_table(table, "sim")
    assert set(found.sized["arm"]) == {"engram", "over_encoding"}
    assert set(found.beside["arm"]) == {"moe"}
    assert len(found.sized) + len(found.beside) + len(found.failed) == len(table)
    order = list(
        zip(
            found.sized["arm"], found.sized["rows_per_head_asked"], found.sized["seed"], strict=True
        )
    )
    assert order == sorted(order)


def test_an_arm_without_tables_needs_no_size():
    """Pure MoE that an earlier sweep trained has none in its record."""
    table = slots()
    table.loc[table["arm"] == "moe", "rows_per_head_asked"] = np.nan
    assert len(check_slot_table(table, "sim").beside) == 3


def test_a_run_trained_again_elsewhere_counts_once():
    table = slots().assign(run_id=[f"{i}" for i in range(39)], host="a")
    again = table.iloc[[10]].assign(host="b")
    found = check_slot_table(pd.concat([table, again]), "sim")
    assert len(found.repeats) == 1
    assert len(found.sized) == 36


def test_which_tables_are_of_table_sizes():
    assert has_table_sizes(slots())
    assert not has_table_sizes(sweep())
    assert not has_table_sizes(sweep().assign(rows_per_head_asked=np.nan))
    assert not has_table_sizes(sweep().assign(rows_per_head_asked=0))
    assert has_table_sizes(slots().assign(rows_per_head_asked="many"))
