import numpy as np
import pandas as pd
import pytest

from analysis.inside.gates import analyse_gates, correlation, gates_table, state_gates
from engram_sweep.errors import UserError
from tests.analysis.inside.measured import runs_of
from tests.analysis.tables import limits


def gates_rows() -> tuple[pd.DataFrame, dict[str, float]]:
    """Gates that open with the count and not with the gain; and what numpy says of them."""
    rng, rows, tokens = np.random.default_rng(0), [], []
    for seed in range(3):
        for document in range(6):
            for stratum, low in (("1-3", 1), ("> 1000", 2000)):
                count = np.log1p(rng.integers(low, 2 * low + 1, 500))
                gate = np.clip(0.4 + 0.05 * count + 0.05 * rng.standard_normal(500), 0, 1)
                gain = rng.standard_normal(500)
                tokens.append(np.stack([gate, count, gain]))
                rows.append(
                    {
                        **runs_of(0.5, seed),
                        "order": 3, "stratum": stratum, "copied": False, "document": document,
                        "block": 1, "stream": 0, "tokens": 500,
                        "gate": gate.sum(), "gate2": (gate**2).sum(),
                        "log_count": count.sum(), "log_count2": (count**2).sum(),
                        "gate_log_count": (gate * count).sum(),
                        "gain": gain.sum(), "gain2": (gain**2).sum(),
                        "gate_gain": (gate * gain).sum(),
                    }
                )  # fmt: skip
    gate, count, gain = np.concatenate(tokens, axis=1)
    return pd.DataFrame(rows), {
        "mean": gate.mean(),
        "spread": gate.std(),
        "of_count": np.corrcoef(gate, count)[0, 1],
        "of_gain": np.corrcoef(gate, gain)[0, 1],
    }


def test_readings_are_those_of_all_tokens_together():
    rows, true = gates_rows()
    result = analyse_gates(rows, "demo")
    [one] = result.gates
    for name, value in true.items():
        assert getattr(one, name).value == pytest.approx(value, abs=1e-9)
    assert limits(one.of_count)[0] > 0.5
    low, _, high = limits(one.of_gain)
    assert low < 0 < high
    assert list(one.by_stratum) == ["1-3", "> 1000", "not copied"]
    assert limits(one.by_stratum["> 1000"])[1] > limits(one.by_stratum["1-3"])[1]
    assert "correlation with the logarithm of the n-gram's count 0." in " ".join(
        state_gates(result)
    )
    assert list(gates_table(result)["stratum"]) == ["all", "1-3", "> 1000", "not copied"]


def test_a_correlation_from_sums_is_numpys():
    x, y = np.random.default_rng(1).standard_normal((2, 50))
    sums = (np.array([50.0]), *(np.array([v.sum()]) for v in (x, x**2, y, y**2, x * y)))
    assert correlation(*sums)[0] == pytest.approx(np.corrcoef(x, y)[0, 1])


def test_a_sweep_without_gates_is_one_line():
    rows, _ = gates_rows()
    with pytest.raises(UserError, match="demo: expected runs with gates, found none"):
        analyse_gates(rows.iloc[:0], "demo")
