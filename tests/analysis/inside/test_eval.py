import numpy as np
import pytest

from analysis.inside.eval import UNRESOLVED, analyse_eval, eval_table, holm, state_eval
from engram_sweep.errors import UserError
from tests.analysis.inside.measured import CHOICES, SAVED, eval_rows


@pytest.fixture(scope="module")
def result():
    return analyse_eval(eval_rows(), "demo")


def test_the_task_with_a_u_has_it_and_the_flat_one_cannot_be_resolved(result):
    parabola, flat, slope = result.tasks
    assert (parabola.verdict, flat.verdict, slope.verdict) == ("U", UNRESOLVED, "no U shown")
    assert parabola.gain.value == pytest.approx(SAVED["parabola"], abs=0.005)
    assert parabola.gain.low <= SAVED["parabola"] <= parabola.gain.high
    assert parabola.rho_star.value == pytest.approx(0.5, abs=0.05)
    assert slope.signal > 10
    assert slope.p_u > 0.05


def test_a_model_that_guesses_is_at_chance_within_its_interval(result):
    covered = []
    for task in result.tasks:
        assert task.chance == pytest.approx(1 / CHOICES)
        assert task.cut == 0.5
        covered += [p.accuracy.low <= 1 / CHOICES <= p.accuracy.high for p in task.points]
    # 15 intervals at 90 %: fewer than 10 of them would be one chance in a thousand.
    assert len(covered) == 15
    assert sum(covered) >= 10


def test_points_are_ratios_of_sums_and_differences_are_paired(result):
    rows = eval_rows()
    of_task = rows.loc[rows["task"] == "parabola"]
    for point in result.tasks[0].points:
        at = of_task.loc[of_task["rho"] == point.rho]
        assert point.bits.value == pytest.approx(at["bits"].sum() / at["bytes"].sum())
    middle = result.tasks[0].points[2]
    # Questions differ by far more than runs do, and drop out of a difference.
    assert middle.below_moe.high - middle.below_moe.low < 0.01
    assert middle.bits.high - middle.bits.low > 0.05
    assert result.tasks[0].points[-1].below_moe.value is None


def test_many_flat_tasks_claim_a_u_no_more_often_than_one():
    rng = np.random.default_rng(0)
    draws = rng.random((4000, 7))
    claimed = np.mean([min(holm(list(row))) < 0.05 for row in draws])
    assert claimed == pytest.approx(0.05, abs=0.012)
    assert np.mean(draws.min(axis=1) < 0.05) > 0.25


def test_holm_as_printed_and_what_is_no_test_stays_none():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, float("nan"), 0.9])[::2] == pytest.approx([1.0, 1.0])
    assert np.isnan(holm([0.5, float("nan")])[1])
    assert holm([0.02, 0.02]) == pytest.approx([0.04, 0.04])


def test_sentences_and_table_say_each_task(result):
    said = state_eval(result)
    assert said[0].startswith("Of 3 tasks (4 seeds, zero worked examples) 1 has a U")
    assert said[1].startswith("parabola: U (signal over noise")
    assert said[2].startswith("flat: cannot be resolved here (signal over noise")
    assert "rho*" not in said[2]
    table = eval_table(result)
    assert len(table) == 15
    assert list(table["task"].unique()) == list(SAVED)


def test_a_single_seed_resolves_nothing():
    rows = eval_rows()
    result = analyse_eval(rows.loc[rows["seed"] == 0], "demo")
    assert {task.verdict for task in result.tasks} == {UNRESOLVED}


def test_a_sweep_without_pure_moe_is_one_line():
    rows = eval_rows()
    with pytest.raises(UserError, match="demo: expected runs at rho = 1"):
        analyse_eval(rows.loc[rows["rho"] < 1], "demo")
