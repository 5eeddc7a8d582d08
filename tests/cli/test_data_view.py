from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engram_sweep.cli import data_view
from engram_sweep.corpus.ngram_counts import NgramCounts
from engram_sweep.corpus.own_text.documents import Document, Inputs
from engram_sweep.corpus.own_text.prepare import Progress, Request, prepare_text
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


def test_of_too_short_a_held_out_text_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    data_view.print_survey(replace(FOUND, copies=NgramCounts(50, 900, 1, None, 1.0)), [])
    out = " ".join(capsys.readouterr().out.split())
    assert "the held-out text is shorter than a copy of 50 tokens" in out


def test_without_a_scale_there_is_no_second_table(capsys: pytest.CaptureFixture[str]) -> None:
    data_view.print_survey(replace(FOUND, samples=()), [])
    assert "epochs" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (0.3, "held out are 0.62 of the tokens, asked for were 0.3: documents are held out whole"),
        (0.4, None),
        (None, None),
    ],
)
def test_a_split_that_is_far_off_is_said(
    asked: float | None, says: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "aaaa"}\n{"text": "bb"}\n')
    request = Request(Inputs((str(tmp_path / "a.jsonl"),)), "bytes", 0.3)
    shards = prepare_text(request, tmp_path / "own", 1, Progress(lambda progress: None))
    assert shards.manifest.validation_tokens == 5
    data_view.print_made(tmp_path / "own", shards, asked)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == (3 if says else 2)
    assert says is None or lines[2].startswith(says)


def test_a_bar_off_a_terminal_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with data_view.Bar() as bar:
        bar.progress.total_bytes = 100
        bar.progress.begin("tokenising")
        bar.progress.seen(40)
        bar.progress.done([Document("a" * 30, "")])
    assert bar.progress.read_bytes == 40
    assert bar.progress.characters == 30
    assert capsys.readouterr().out == ""
