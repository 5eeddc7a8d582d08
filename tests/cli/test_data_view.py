from __future__ import annotations

from dataclasses import replace

import pytest

from engram_sweep.cli import data_view
from engram_sweep.corpus.ngram_counts import NgramCounts
from engram_sweep.corpus.own_text.documents import Document
from engram_sweep.corpus.survey import Survey

FOUND = Survey(
    tokenizer="bytes",
    vocab_size=256,
    classes=227,
    used=100,
    train_tokens=1000,
    validation_tokens=100,
    train_documents=9,
    validation_documents=2,
    lengths=(1, 2, 3, 4, 5),
    ngrams=(NgramCounts(2, 500, 40, 0.5, 1.0), NgramCounts(3, 800, 30, 0.25, 0.5)),
    copies=NgramCounts(50, 900, 1, 0.125, 1.0),
    documents_in_both=0.5,
    samples=("red \x1b[31m [bold]",),
)
USES = [
    {"arm": "moe", "rho": 1.0, "tokens": 500, "epochs": 0.5, "rows_per_head": None},
    {"arm": "engram", "rho": 0.5, "tokens": 500, "epochs": 0.5, "rows_per_head": [100, 107]},
]


def test_a_survey_on_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    data_view.print_survey(FOUND, USES)
    out = capsys.readouterr().out
    assert "1,000 training tokens in 9 documents, 100 held out in 2" in out
    assert "50.0% of the held-out documents are trained on, too; 12.5% of the held-out text" in out
    # 500 distinct 2-grams on 100 rows; what is estimated says so.
    (row,) = [line for line in out.splitlines() if "engram" in line]
    assert [cell.strip() for cell in row.strip("│ ").split("│")][-2:] == ["5.0", "8.0"]
    assert "~800" in out
    # Text of a corpus moves no cursor and is no markup.
    assert "red \\x1b[31m [bold]" in out


def test_without_a_scale_there_is_no_second_table(capsys: pytest.CaptureFixture[str]) -> None:
    data_view.print_survey(replace(FOUND, samples=()), [])
    assert "epochs" not in capsys.readouterr().out


def test_a_bar_off_a_terminal_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with data_view.Bar() as bar:
        bar.progress.total_bytes = 100
        bar.progress.begin("tokenising")
        bar.progress.seen(40)
        bar.progress.done([Document("a" * 30, "")])
    assert bar.progress.read_bytes == 40
    assert bar.progress.characters == 30
    assert capsys.readouterr().out == ""
