from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.corpus.overlap import documents, held_out_in_train
from engram_sweep.corpus.own_text import parts
from engram_sweep.corpus.own_text.documents import Document, Inputs
from engram_sweep.corpus.own_text.prepare import Progress, Request, prepare_text
from engram_sweep.corpus.shards import Shards, verified
from engram_sweep.corpus.survey import tokenizer_of
from engram_sweep.corpus.tokenizer import Tokenizer
from engram_sweep.errors import UserError
from tests.examples import ROOT


def prepared(
    folder: Path, *names: str | Path, tokenizer: str | int = "bytes", share: float = 0.1
) -> Shards:
    request = Request(Inputs(tuple(map(str, names)), "body"), tokenizer, share)
    return prepare_text(request, folder, 1, Progress(lambda progress: None))


def decoded(shards: Shards) -> list[str]:
    """All documents of a shard folder, as text."""
    tokenizer, end = tokenizer_of(shards), shards.manifest.document_end
    found = []
    for ids in (shards.train, shards.validation):
        bounds = documents(ids, end).tolist()
        assert ids[-1] == end
        found += [tokenizer.decode(ids[a : b - 1].tolist()) for a, b in pairwise(bounds)]
    return found


@pytest.mark.parametrize("kind", ["text", "jsonl", "gz", "zst", "parquet"])
@pytest.mark.parametrize("tokenizer", ["bytes", 400])
def test_every_document_comes_back_from_exactly_one_shard(
    kind: str, tokenizer: str | int, files: dict[str, Path], speeches: list[str], tmp_path: Path
) -> None:
    shards = prepared(tmp_path / "mine", files[kind], tokenizer=tokenizer)
    assert sorted(decoded(shards)) == sorted(speeches)
    assert not held_out_in_train(shards.train, shards.validation, 0).any()
    assert (
        shards.manifest.validation_tokens
        / (shards.manifest.validation_tokens + shards.manifest.train_tokens)
        >= 0.1
    )
    assert [path.name for path in tmp_path.iterdir() if "parts" in path.name] == []


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.text(max_size=30).filter(lambda text: "\0" not in text), max_size=12),
    st.sampled_from(["bytes", 260]),
)
def test_any_text_comes_back_or_is_one_line(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], tokenizer: str | int
) -> None:
    home = tmp_path_factory.mktemp("any")
    (home / "a.jsonl").write_text("".join(json.dumps({"body": text}) + "\n" for text in texts))
    wanted = sorted(text for text in texts if text)
    if len(set(wanted)) < 2:
        with pytest.raises(UserError, match=r"expected (text|at least two different documents)"):
            prepared(home / "data" / "mine", home / "a.jsonl", tokenizer=tokenizer)
        return
    shards = prepared(home / "data" / "mine", home / "a.jsonl", tokenizer=tokenizer)
    assert sorted(decoded(shards)) == wanted
    # Documents of one text lie on one side.
    assert not held_out_in_train(shards.train, shards.validation, 0).any()


def test_formats_orders_and_calls_agree(files: dict[str, Path], tmp_path: Path) -> None:
    """Held-out documents follow from their text, not from file names or the order."""
    one = prepared(tmp_path / "one", files["jsonl"])
    other = prepared(tmp_path / "other", files["parquet"])
    assert one.manifest.fingerprint == other.manifest.fingerprint
    before = (tmp_path / "one" / "train.bin").stat().st_mtime_ns
    again = prepared(tmp_path / "one", files["jsonl"])
    assert again.manifest == one.manifest
    assert (tmp_path / "one" / "train.bin").stat().st_mtime_ns == before


@pytest.mark.parametrize("change", ["text", "tokenizer", "share"])
def test_a_folder_of_something_else_is_left_as_it_is(
    files: dict[str, Path], tmp_path: Path, change: str
) -> None:
    made = prepared(tmp_path / "mine", files["jsonl"])
    (tmp_path / "b.jsonl").write_text('{"body": "another"}\n')
    with pytest.raises(UserError, match="mine: expected no such folder, or one of this text"):
        prepared(
            tmp_path / "mine",
            tmp_path / "b.jsonl" if change == "text" else files["jsonl"],
            tokenizer=300 if change == "tokenizer" else "bytes",
            share=0.3 if change == "share" else 0.1,
        )
    assert verified(tmp_path / "mine").manifest == made.manifest


def test_one_document_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"to be\0")
    with pytest.raises(UserError, match="found a binary file"):
        prepared(tmp_path / "data" / "mine", tmp_path / "a.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("texts", "tokenizer", "says"),
    [
        (["to be"] * 5, "bytes", "expected at least two different documents"),
        (["to be", "or \ud800"], 300, "expected Unicode text"),
    ],
)
def test_a_text_that_is_refused_late_leaves_nothing(
    texts: list[str], tokenizer: str | int, says: str, tmp_path: Path
) -> None:
    lines = "".join(json.dumps({"body": text}) + "\n" for text in texts)
    (tmp_path / "a.jsonl").write_text(lines)
    with pytest.raises(UserError, match=says):
        prepared(tmp_path / "data" / "mine", tmp_path / "a.jsonl", tokenizer=tokenizer)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_damaged_part_leaves_the_others(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_CHARACTERS", 10_000)
    encode = parts.encode

    def damaged(part: list[Document], tokenizer: Tokenizer, path: Path) -> None:
        encode(part, tokenizer, path)
        content = bytearray(path.read_bytes())
        content[200] ^= 1
        path.write_bytes(content)

    monkeypatch.setattr(parts, "encode", damaged)
    with pytest.raises(UserError, match="the same command makes it again"):
        prepared(tmp_path / "mine", files["jsonl"])
    assert len(list((tmp_path / ".mine.parts").glob("part-*"))) > 5


def test_two_calls_at_once_are_one_line(files: dict[str, Path], tmp_path: Path) -> None:
    working = tmp_path / ".mine.parts"
    working.mkdir()
    with (working / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another call is at work on the same corpus"):
            prepared(tmp_path / "mine", files["jsonl"])


CALL = """
import sys, time
from engram_sweep.corpus.own_text import parts
from tests.corpus.own_text.test_prepare import prepared
from pathlib import Path
if __name__ == "__main__":
    parts.PART_CHARACTERS = 10_000
    whole = parts.encode
    def slow(*given):
        time.sleep(0.1)
        whole(*given)
    parts.encode = slow
    prepared(Path(sys.argv[1]), sys.argv[2], tokenizer=400)
"""


def test_a_killed_call_goes_on_where_it_was(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_CHARACTERS", 10_000)
    straight = prepared(tmp_path / "straight", files["jsonl"], tokenizer=400)
    words = [sys.executable, "-c", CALL, str(tmp_path / "killed"), str(files["jsonl"])]
    call = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    working = tmp_path / ".killed.parts"
    while len(list(working.glob("part-*"))) < 3:
        assert call.poll() is None
        time.sleep(0.01)
    call.send_signal(signal.SIGKILL)
    call.wait()
    assert not (tmp_path / "killed").exists()
    finished = {path.name: path.stat().st_mtime_ns for path in working.glob("part-*")}
    made: list[str] = []
    whole = parts.encode

    def noted(part: list[Document], tokenizer: Tokenizer, path: Path) -> None:
        made.append(path.name)
        whole(part, tokenizer, path)

    monkeypatch.setattr(parts, "encode", noted)
    resumed = prepared(tmp_path / "killed", files["jsonl"], tokenizer=400)
    assert made
    assert not set(made) & set(finished)
    assert resumed.manifest == straight.manifest
    assert np.array_equal(resumed.train, straight.train)
    assert not working.exists()
