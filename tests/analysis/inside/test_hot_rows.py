import pandas as pd
import pytest

from analysis.inside.hot_rows import analyse_hot_rows, hot_rows_table, state_hot_rows
from engram_sweep.errors import UserError
from tests.analysis.inside.measured import runs_of


def hot_rows() -> pd.DataFrame:
    """A cache of a share x of the rows serves x^(1/2) of the look-ups of every document."""
    return pd.DataFrame(
        {
            **runs_of(rho, seed),
            "table": 0, "order": order, "rows": 5000, "share": share, "document": document,
            "look_ups": 10_000, "hits": round(10_000 * share**0.5),
        }
        for rho in (0.0, 0.5)
        for seed in range(2)
        for order in (2, 3)
        for share in (0.01, 0.1, 1.0)
        for document in range(4)
    )  # fmt: skip


def test_hit_rates_are_shares_of_all_look_ups():
    result = analyse_hot_rows(hot_rows(), "demo")
    assert len(result.rates) == len(hot_rows_table(result)) == 2 * 2 * 3
    for one in result.rates:
        assert one.hits.value == pytest.approx(one.share**0.5, abs=1e-4)
    said = " ".join(state_hot_rows(result))
    assert "at rho 0.00" in said
    assert "Order 3, 5,000 rows (table 0): a cache of 1% of them 10 % [10, 10] and of 10%" in said


def test_a_sweep_without_memory_is_one_line():
    with pytest.raises(UserError, match="demo: expected runs with a memory, found none"):
        analyse_hot_rows(hot_rows().iloc[:0], "demo")
