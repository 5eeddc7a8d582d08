from __future__ import annotations

from dataclasses import replace
from math import log2

import pandas as pd
import pytest

from engram_sweep.inside import eval as module
from engram_sweep.inside.eval import MEASURE, MIN_FLOPS, SCHEMA, answers_of, byte_length, hopeless
from engram_sweep.inside.task_files import TASKS, Question
from engram_sweep.inside.trained import Trained
from tests.inside.answering import Knowing, questions


def test_a_model_that_knows_the_answers_has_all_of_them_right_for_no_bits(run: Trained) -> None:
    asked = questions(40)
    knowing = replace(run, model=Knowing(asked))  # type: ignore[arg-type]
    rows = answers_of(knowing, "toy", asked).to_pandas()
    assert len(rows) == 40
    assert rows["correct"].all()
    assert rows["bits"].max() < 1e-6
    assert list(rows["bytes"]) == [len(q.answers[q.right]) - 1 for q in asked]
    # It knows nothing of others: all bytes are alike, and the first of equals is chosen.
    others = questions(40, seed=1)
    rows = answers_of(knowing, "toy", others).to_pandas()
    right = pd.Series([len(q.answers[q.right]) for q in others])
    assert rows["bits"].to_numpy() == pytest.approx(right.to_numpy() * log2(256))


def test_a_model_that_knows_nothing_is_at_chance(moe_run: Trained) -> None:
    rows = answers_of(moe_run, "toy", questions(400)).to_pandas()
    assert set(rows["answers"]) == {4}
    # Four standard errors of a coin that falls right one time in four.
    assert abs(rows["correct"].mean() - 0.25) < 4 * (0.25 * 0.75 / 400) ** 0.5


def test_one_answer_is_right_if_every_byte_of_it_is_expected(run: Trained) -> None:
    asked = questions(6, choices=1)
    knowing = replace(run, model=Knowing(asked[:3]))  # type: ignore[arg-type]
    rows = answers_of(knowing, "toy", asked).to_pandas()
    assert list(rows["correct"]) == [True] * 3 + [False] * 3


def test_what_the_window_cannot_hold_is_cut_or_left_out(run: Trained) -> None:
    window = run.spec.training.window
    asked = [
        Question(7, "a" * 2 * window, (" b", " c"), 0),
        Question(8, "a", (" b", " " + "c" * window), 0),
        Question(9, "a", (" b", " c"), 1),
    ]
    rows = answers_of(run, "toy", asked).to_pandas()
    assert list(rows["document"]) == [7, 9]
    assert list(rows["cut"]) == [True, False]


def test_bytes_are_those_of_the_answer_without_its_blank() -> None:
    assert byte_length(" né") == 3
    assert byte_length(" ") == 1


def test_every_task_is_asked_and_has_the_columns(
    run: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "read_task", lambda task: questions(2, seed=len(task)))
    table = MEASURE.of_run(run)
    assert table.schema.equals(SCHEMA)
    assert table["task"].to_pylist() == [task for task in TASKS for _ in range(2)]


def test_runs_of_too_little_compute_are_told_before_anything_is_asked() -> None:
    records = pd.DataFrame({"params_active": [50_000, 60_000], "tokens": [2_500_000] * 2})
    reason = hopeless(records)
    assert reason is not None
    assert "got at most 9.0e+11: every task would be at chance" in reason
    tokens = [round(MIN_FLOPS / 6 / 60_000) + 1] * 2
    assert hopeless(records.assign(tokens=tokens)) is None
