from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engram_sweep.cli import inspect_ngrams
from engram_sweep.corpus.tokenizer import TOKENIZERS, cached_compression, compression
from engram_sweep.errors import UserError
from tests.model import reference

DEMO = [
    "--tokenizer",
    "deepseek-v3",
    "--layers",
    "1,15",
    "--rows",
    "646400",
    "--heads",
    "8",
    "--max-order",
    "3",
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


def run(*words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    inspect_ngrams.register(parser.add_subparsers())
    options = parser.parse_args(["inspect", "ngrams", *map(str, words)])
    return options.func(options)


def test_the_command_prints_the_demos_integers(results):
    text = "Diana, Princess of Wales"
    words = [
        sys.executable,
        "-m",
        "engram_sweep.cli.main",
        "inspect",
        "ngrams",
        *DEMO,
        "--text",
        text,
        "--json",
    ]
    done = subprocess.run(
        [*words, "--results", str(results)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    assert out["classes"] == 98_627
    assert out["ids"] == TOKENIZERS["deepseek-v3"].encode(text).tolist()
    primes = reference.demo_primes((1, 15), 646_400, 8, 3)
    classes = compression(TOKENIZERS["deepseek-v3"]).tolist()
    assert set(out["layers"]) == {"1", "15"}
    for layer, table in primes.items():
        found = out["layers"][str(layer)]
        assert found["primes"] == [p for order in table for p in order]
        assert found["rows"] == reference.ngram_rows(
            out["ids"], classes, table, layer, seed=0, pad_id=2
        )


def test_the_readable_view_says_what_falls_together(results, capsys):
    assert (
        run(
            "--tokenizer",
            "bytes",
            "--layers",
            "3",
            "--rows",
            "2",
            "--heads",
            "1",
            "--text",
            "abcABC",
            "--results",
            results,
        )
        == 0
    )
    out = capsys.readouterr().out
    assert "'a' + 'b' + 'c'" in out
    assert "collision: order 2, head 0" in out
    assert "2-grams that repeat: 2" in out, "case merges: ab and bc come twice"


def test_no_text_has_no_rows(results, capsys):
    assert run("--tokenizer", "bytes", "--text", "", "--json", "--results", results) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["ids"] == out["layers"]["1"]["rows"] == []


@pytest.mark.parametrize(
    "words",
    [
        ["--layers", "1,1"],
        ["--layers", "x"],
        ["--layers", "9" * 30],
        ["--rows", "1"],
        ["--rows", "9" * 30],
        ["--heads", "100000000"],
        ["--max-order", "1"],
        ["--max-order", "100000000"],
        ["--seed", "9" * 30],
    ],
)
def test_bad_options_say_what_was_expected(words, capsys):
    with pytest.raises(SystemExit):
        run(*words, "--text", "x")
    assert "expected" in capsys.readouterr().err


def test_an_unknown_tokenizer_is_named(results):
    with pytest.raises(UserError, match="expected one of bytes, deepseek-v3, got 'gpt'"):
        run("--tokenizer", "gpt", "--text", "x", "--results", results)


def test_compression_is_made_once_and_remade_when_damaged(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        "engram_sweep.corpus.tokenizer.compression",
        lambda tokenizer: made.append(1) or compression(tokenizer),
    )
    tokenizer = TOKENIZERS["bytes"]
    maps = [cached_compression(tokenizer, "bytes", tmp_path / "new") for _ in range(3)]
    assert len(made) == 1
    (file,) = (tmp_path / "new").iterdir()
    assert tokenizer.fingerprint() in file.name
    file.write_bytes(b"half a file")
    maps.append(cached_compression(tokenizer, "bytes", tmp_path / "new"))
    assert len(made) == 2
    assert all(np.array_equal(found, compression(tokenizer)) for found in maps)


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert cached_compression(TOKENIZERS["bytes"], "bytes", blocked / "below").max() > 0
