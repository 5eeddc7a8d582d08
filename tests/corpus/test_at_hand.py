from __future__ import annotations

import json
from pathlib import Path

from engram_sweep.corpus.at_hand import tokens_at_hand
from engram_sweep.corpus.shards import Shards
from engram_sweep.spec import CorpusSpec

SMOKE = CorpusSpec(source="sotu", tokenizer="bytes", validation_share=0.002, fingerprint=None)
OWN = CorpusSpec(source="shards", tokenizer="bytes", validation_share=0.1, fingerprint=None)


def write_manifest(folder: Path, **changes: object) -> Path:
    folder.mkdir(parents=True)
    fields = {"fingerprint": "f", "train_tokens": 900, "validation_tokens": 100} | changes
    (folder / "manifest.json").write_text(json.dumps(fields))
    return folder


def test_a_package_that_was_not_prepared_is_measured_by_its_files(
    tmp_path: Path, shards: Shards
) -> None:
    found = tokens_at_hand(SMOKE, tmp_path / "nothing")
    assert found is not None
    assert abs(found / shards.manifest.train_tokens - 1) < 0.01


def test_of_several_shards_the_one_with_the_asked_share_counts(tmp_path: Path) -> None:
    write_manifest(tmp_path / "sotu-bytes-1", train_tokens=998, validation_tokens=2)
    write_manifest(tmp_path / "sotu-bytes-2", train_tokens=900, validation_tokens=100)
    assert tokens_at_hand(SMOKE, tmp_path) == 998


def test_own_shards_are_known_by_their_folder(tmp_path: Path) -> None:
    folder = write_manifest(tmp_path / "mine")
    assert tokens_at_hand(OWN, tmp_path / "corpora") is None
    assert tokens_at_hand(OWN, tmp_path / "corpora", folder) == 900
    (folder / "manifest.json").write_text("no manifest")
    assert tokens_at_hand(OWN, tmp_path / "corpora", folder) is None


def test_a_package_that_is_not_there_is_not_known(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert tokens_at_hand(SMOKE, tmp_path) is None
