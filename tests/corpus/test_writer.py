from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engram_sweep.cli.main import main
from engram_sweep.corpus.shards import load, prepare
from engram_sweep.corpus.writer import write_shards
from engram_sweep.errors import UserError
from engram_sweep.planning.plan import make_plan
from tests.examples import scale, write_scale

CORPUS = make_plan(scale(corpus__source="shards")).runs[0].spec.corpus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's own corpus of bytes."""
    path = tmp_path / "own"
    path.mkdir()
    text = np.frombuffer(b"to be or not to be\0" * 50, np.uint8)
    write_shards(
        path,
        cache=tmp_path / "cached",
        train=text[:800],
        validation=text[800:],
        tokenizer="bytes",
        source="Hamlet",
        source_version="1603",
        licence="public domain",
        train_documents=1,
        validation_documents=("act-5",),
    )
    return path


def test_what_is_written_is_read(folder):
    shards = load(folder)
    assert shards.train.tobytes().startswith(b"to be or not to be\0to be")
    assert (len(shards.train), len(shards.validation)) == (800, 150)
    assert shards.manifest.source == "Hamlet"
    assert len(shards.compression) == 256


def test_shards_that_the_scale_names_are_taken_as_they_are(folder, tmp_path):
    corpus = replace(CORPUS, fingerprint=load(folder).manifest.fingerprint)
    assert prepare(corpus, tmp_path / "cache", folder) == folder
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("corpus", "given", "says"),
    [
        (
            CORPUS,
            False,
            r"^corpus: expected a folder of token shards; name it by --corpus FOLDER or launch",
        ),
        (CORPUS, "nowhere", r"nowhere: expected a folder of token shards \(manifest\.json, "),
        (
            CORPUS,
            True,
            r"fingerprint: expected the scale to name it as corpus\.fingerprint, the shards have "
            r"[0-9a-f]{32}$",
        ),
        (
            replace(CORPUS, fingerprint="0" * 32),
            True,
            r"fingerprint: expected 0{32} .*, the shards have [0-9a-f]{32}$",
        ),
        (
            replace(CORPUS, tokenizer="deepseek-v3"),
            True,
            r"tokenizer: expected deepseek-v3 .*, the shards have bytes$",
        ),
    ],
)
def test_what_is_missing_is_one_line(folder, tmp_path, corpus, given, says):
    path = folder if given is True else tmp_path / given if given else None
    with pytest.raises(UserError, match=says) as no:
        prepare(corpus, tmp_path / "cache", path)
    assert "\n" not in str(no.value)


def test_damaged_shards_are_one_line(folder, tmp_path):
    (folder / "train.bin").write_bytes(b"")
    with pytest.raises(UserError, match="damaged shards"):
        prepare(CORPUS, tmp_path, folder)


def test_a_plan_needs_no_data_and_a_launch_says_what_is_missing(tmp_path, capsys):
    write_scale(tmp_path, corpus__source="shards")
    assert main(["plan", "example", "--sweeps", str(tmp_path)]) == 0
    capsys.readouterr()
    results = tmp_path / "results"
    assert main(["sweep", "example", "--sweeps", str(tmp_path), "--results", str(results)]) == 2
    assert capsys.readouterr().err.startswith(
        "engram-sweep: corpus: expected a folder of token shards; name it by"
    )
    assert not results.exists()
    words = ["--corpus", str(tmp_path / "none")]
    assert (
        main(["sweep", "example", "--sweeps", str(tmp_path), "--results", str(results), *words])
        == 2
    )
    assert "none: expected a folder of token shards" in capsys.readouterr().err
