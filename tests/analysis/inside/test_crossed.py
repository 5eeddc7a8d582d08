import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.inside.crossed import crossed, jackknife_interval, paired
from tests.analysis.tables import limits


def table(rng, seeds=5, documents=12, seed_sd=0.1, document_sd=0.2, mean=1.0):
    loss = mean + seed_sd * rng.standard_normal((seeds, 1))
    loss = loss + document_sd * rng.standard_normal(documents)
    return pd.DataFrame(
        {"seed": s, "document": d, "loss": 100 * loss[s, d], "tokens": 100.0}
        for s in range(seeds)
        for d in range(documents)
    )


def test_a_quantity_is_that_of_the_summed_columns():
    rows = table(np.random.default_rng(0))
    found = crossed(rows, ["loss", "tokens"])
    assert found.sums.shape == (2, 5, 12)
    assert found.documents == 12
    mean = found.interval(lambda s: s[0] / s[1], 0.9)
    assert mean.value == pytest.approx(rows["loss"].sum() / rows["tokens"].sum())
    low, value, high = limits(mean)
    assert low < value < high
    # Sums that do not depend on the draw have no width.
    ratio = found.interval(lambda s: s[0] / s[0], 0.9)
    np.testing.assert_allclose(limits(ratio), 1.0)


@pytest.mark.parametrize(("seeds", "documents"), [(5, 7), (2, 38), (1, 20), (20, 1)])
def test_intervals_cover_the_truth_as_often_as_few_clusters_allow(seeds, documents):
    rng, hits = np.random.default_rng(1), 0
    # With one level of a factor nothing shows its noise, so there is none to cover here.
    sd = {"seed_sd": 0.1 * (seeds > 1), "document_sd": 0.1 * (documents > 1)}
    for _ in range(150):
        mean = crossed(table(rng, seeds, documents, **sd), ["loss", "tokens"])
        low, _, high = limits(mean.interval(lambda s: s[0] / s[1], 0.9))
        hits += low <= 1.0 <= high
    assert 0.8 <= hits / 150 <= 0.97


def test_one_factor_is_students_interval_of_a_mean():
    values = np.random.default_rng(3).standard_normal(6)
    without = (values.sum() - values) / 5
    found = limits(jackknife_interval(values.mean(), [without, np.zeros(1)], 0.9))
    reach = stats.t.ppf(0.95, 5) * values.std(ddof=1) / 6**0.5
    np.testing.assert_allclose(found, values.mean() + reach * np.array([-1, 0, 1]))
    # What nothing measures has no limits, and what does not vary has no width.
    assert jackknife_interval(1.0, [np.zeros(1)], 0.9).low is None
    assert jackknife_interval(1.0, [np.ones(4)], 0.9).low == 1.0
    assert jackknife_interval(float("nan"), [np.ones(4)], 0.9).value is None


def test_pairs_are_of_the_seeds_that_both_have_and_a_missing_document_counts_as_nothing():
    rng = np.random.default_rng(2)
    first, second = table(rng, seeds=3), table(rng, seeds=5)
    second = second.loc[second["document"] != 4]
    found = paired(first, second, ["loss"])
    assert found.seeds == (0, 1, 2)
    assert found.sums.shape == (2, 3, 12)
    assert (found.sums[1, :, 4] == 0).all()
    with pytest.raises(ValueError, match="share a seed"):
        paired(first, second.assign(seed=9), ["loss"])
    with pytest.raises(ValueError, match="expected rows to sum"):
        crossed(first.iloc[:0], ["loss"])
