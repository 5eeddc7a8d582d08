import numpy as np
import pandas as pd

from analysis.report.budget_tables import bill, ledger
from tests.analysis.tables import sweep

RHO = np.array([0.0, 0.5, 1.0])


def built() -> pd.DataFrame:
    table = sweep(rho=RHO, seeds=2)
    return table.assign(
        params_total=1_000_000 + np.where(table["rho"] == 0.5, 100, 0),
        params_active=50_000,
        flops_per_token=300_000,
        params_table=(1 - table["rho"]) * 900_000,
        tokens=2_000_000,
        wall_seconds=1800.0,
    )


def test_the_ledger_says_what_is_held_and_by_how_much_it_misses():
    found = ledger(built()).set_index("rho")
    assert list(found.index) == [1.0, 0.5, 0.0]
    assert found.at[0.5, "params_total"] == "1,000,100"
    assert found.at[0.5, "params_total, off rho = 1"] == "+0.010 %"
    assert found.at[0.0, "params_active, off rho = 1"] == "+0.000 %"
    assert found.at[0.0, "params_table"] == "900,000"


def test_the_bill_adds_up():
    found = bill(built()).set_index("arm")
    assert list(found["runs"]) == ["4", "2", "6"]
    assert found.at["all", "tokens"] == "12,000,000"
    assert found.at["all", "FLOPs"] == "3.600e+12"
    assert found.at["all", "run hours"] == "3"
    assert found.at["all", "GFLOP/s"] == 3.6e12 / (3 * 3600) / 1e9


def test_a_table_that_says_nothing_of_what_was_built():
    assert ledger(sweep()).empty
    assert list(bill(sweep()).columns) == ["arm", "runs"]
