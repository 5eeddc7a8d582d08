import numpy as np
import pytest

from analysis.inside.strata import analyse_strata, belongs, state_strata, strata_table
from engram_sweep.errors import UserError
from tests.analysis.inside.measured import GAINS, TOKENS, strata_rows, whole_gain


@pytest.fixture(scope="module")
def result():
    return analyse_strata(strata_rows(), "demo")


def test_each_stratum_has_the_gain_it_was_given(result):
    assert result.orders == (3,)
    assert result.rho == 0.5
    assert result.documents == 8
    assert result.seeds == 4
    found = {one.name: one for one in result.of(3)}
    for name, gain in GAINS.items():
        assert found[name].gain.value == pytest.approx(gain, abs=0.002)
        assert found[name].tokens == pytest.approx(TOKENS[name] / sum(TOKENS.values()))
        # A stratum without a gain has no place for an optimum.
        if gain:
            assert found[name].rho_star.value == pytest.approx(0.5, abs=0.08)
            assert found[name].gain.low <= gain <= found[name].gain.high


def test_shares_of_the_gain_are_those_of_tokens_times_gain_and_sum_to_one(result):
    found = {one.name: one for one in result.of(3)}
    for name, gain in GAINS.items():
        true = found[name].tokens * gain / whole_gain()
        assert found[name].part.value == pytest.approx(true, abs=0.01)
        assert found[name].part.low - 0.01 <= true <= found[name].part.high + 0.01
    assert sum(found[name].part.value for name in GAINS) == pytest.approx(1)
    assert sum(found[name].part.value for name in ("copied", "not copied")) == pytest.approx(1)


def test_sentences_and_table_name_the_stratum_with_most_of_the_gain(result):
    said = " ".join(state_strata(result))
    assert "at tokens behind a 3-gram that training showed > 1000 times" in said or (
        "at tokens behind a 3-gram that training showed 10-99 times" in said
    )
    assert "per token it is largest for 10-99" in said
    assert "split at rho 0.50" in said
    table = strata_table(result)
    assert list(table["stratum"]) == ["never", "10-99", "> 1000", "copied", "not copied"]


def test_a_sweep_without_pure_moe_is_one_line():
    rows = strata_rows()
    with pytest.raises(UserError, match="demo: expected runs at rho = 1"):
        analyse_strata(rows.loc[rows["rho"] < 1], "demo")


def test_rows_of_a_stratum_and_of_a_copy():
    rows = strata_rows()
    assert set(rows.loc[belongs(rows, "never"), "stratum"]) == {"never"}
    copied = belongs(rows, "copied")
    assert np.array_equal(copied, ~belongs(rows, "not copied"))
    assert np.array_equal(copied, rows["copied"])
