from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from engram_sweep.corpus.retrieval import VALUES, Symbols, symbols_of
from engram_sweep.corpus.tokenizer import TOKENIZERS
from engram_sweep.inside import retrieval
from engram_sweep.inside.retrieval import MEASURE, SCHEMA, hopeless, texts_of
from engram_sweep.inside.trained import Trained
from tests.corpus.test_retrieval import interpret


class Solver(nn.Module):
    """Knows the answers by reading the statements, or takes any value that a text says."""

    def __init__(self, symbols: Symbols, solves: bool) -> None:
        super().__init__()
        self.symbols, self.solves = symbols, solves
        self.rng = np.random.default_rng(0)

    def memories(self) -> list[nn.Module]:
        return []

    def hidden(self, tokens: Tensor, looked_up: list[Tensor]) -> Tensor:
        logits = torch.zeros(*tokens.shape, 256)
        for row, ids in enumerate(tokens.tolist()):
            # The last value is asked for, not read.
            known = interpret([*ids, 0], self.symbols)
            said = [value for value, _, _ in known.values()]
            for at, (value, _, _) in known.items():
                guess = value if self.solves else int(self.rng.choice(said))
                logits[row, at - 1, guess] = 30.0
        return logits

    def head(self, h: Tensor) -> Tensor:
        return h


def rows_of(run: Trained, solves: bool) -> pd.DataFrame:
    solver = Solver(symbols_of(TOKENIZERS["bytes"]), solves)
    table = MEASURE.of_run(replace(run, model=solver))  # type: ignore[arg-type]
    assert table.schema.equals(SCHEMA)
    return table.to_pandas()


@pytest.fixture(autouse=True)
def few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "TEXTS", 60)


def test_who_reads_the_window_finds_everything_at_any_distance(run: Trained) -> None:
    rows = rows_of(run, solves=True)
    assert list(rows["correct"]) == list(rows["questions"])
    assert rows["loss"].to_numpy().max() < 1e-3
    assert set(rows["hops"]) == {0, 1, 2}
    window = run.spec.training.window
    assert set(rows["distance"]) <= {2**power for power in range(window.bit_length())}
    # Every text once, and every question of it.
    asked = sum(len(text.answers) for _, text in texts_of(run))
    assert rows["questions"].to_numpy().sum() == asked
    assert set(rows["document"]) == set(range(180))


def test_who_takes_any_value_said_is_right_as_often_as_a_guess(run: Trained) -> None:
    rows = rows_of(run, solves=False)
    questions, correct, guess = (
        rows[name].to_numpy().sum() for name in ("questions", "correct", "guess")
    )
    error = (guess * (1 - guess / questions)) ** 0.5
    assert abs(correct - guess) < 4 * error
    # Four needles in a window of 64, two chains of one link, one of two.
    for hops, names in ((0, 4), (1, 2), (2, 1)):
        here = rows.loc[rows["hops"] == hops]
        share = here["guess"].to_numpy().sum() / here["questions"].to_numpy().sum()
        assert share == pytest.approx(1 / names + (1 - 1 / names) / VALUES, abs=0.04)


def test_a_model_is_asked_the_same_whatever_the_batch(
    run: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "TEXTS", 4)
    together = MEASURE.of_run(run).to_pandas()
    monkeypatch.setattr(retrieval, "BATCH_TOKENS", 1)
    alone = MEASURE.of_run(run).to_pandas()
    pd.testing.assert_frame_equal(together, alone, atol=1e-4)


def test_a_loss_is_that_of_the_text_read_alone(
    run: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "TEXTS", 1)
    rows = MEASURE.of_run(run).to_pandas()
    _, text = texts_of(run)[0]
    tokens = torch.from_numpy(np.concatenate([[0], text.tokens]))
    with torch.inference_mode():
        logs = run.model(tokens[None, :-1])[0].log_softmax(-1)
    losses = [-float(logs[at, text.tokens[at]]) for at in text.answers]
    measured = rows.loc[rows["document"] == 0, "loss"].to_numpy().sum()
    assert measured == pytest.approx(sum(losses), abs=1e-4)


def test_runs_that_have_seen_no_such_text_are_told() -> None:
    records = pd.DataFrame({"spec": ['{"corpus": {}}', '{"corpus": {"retrieval_share": 0.0}}']})
    reason = hopeless(records)
    assert reason is not None
    assert "expected runs whose training text has needles and chains" in reason
    seen = '{"corpus": {"retrieval_share": 0.02}}'
    assert hopeless(pd.DataFrame({"spec": ['{"corpus": {}}', seen]})) is None
