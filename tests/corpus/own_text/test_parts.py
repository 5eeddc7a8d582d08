from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer as LibraryTokenizer
from tokenizers import models, pre_tokenizers

from engram_sweep.corpus.own_text import parts
from engram_sweep.corpus.own_text.documents import Document
from engram_sweep.corpus.own_text.parts import cut, encode_parts
from engram_sweep.corpus.own_tokenizer import OwnTokenizer, train_bpe
from engram_sweep.corpus.tokenizer import TOKENIZERS, ByteTokenizer
from engram_sweep.errors import UserError
from tests.examples import ROOT

TEXTS = ["to be", "or not", "to be:", "that", "is the question"]
DOCUMENTS = [Document(text, f"line {number}") for number, text in enumerate(TEXTS, 1)]


def test_parts_are_all_documents_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_CHARACTERS", 8)
    monkeypatch.setattr(parts, "PART_DOCUMENTS", 2)
    assert list(cut(DOCUMENTS)) == [DOCUMENTS[:2], DOCUMENTS[2:4], DOCUMENTS[4:]]
    assert list(cut([])) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_part_holds_ids_lengths_and_keys(tmp_path: Path, workers: int) -> None:
    tokenizer = train_bpe(TEXTS, 270)
    given = [DOCUMENTS[:3], DOCUMENTS[3:]]
    done: list[list[Document]] = []
    found = encode_parts(given, tokenizer, tmp_path, workers, done.append)
    assert done == given
    tokens = np.concatenate([part.read("tokens") for part in found])
    assert tokens.tolist() == [id for text in TEXTS for id in [*tokenizer.encode(text), 0]]
    assert tokens.dtype == np.uint16
    lengths = np.concatenate([part.read("lengths") for part in found])
    assert lengths.tolist() == [len(tokenizer.encode(text)) + 1 for text in TEXTS]
    assert len(np.unique(np.concatenate([part.read("keys") for part in found]))) == len(TEXTS)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_finished_part_is_not_made_again_but_for_another_tokenizer(tmp_path: Path) -> None:
    tokenizer = TOKENIZERS["bytes"]
    (first,) = encode_parts([DOCUMENTS], tokenizer, tmp_path, 1)
    before = first.path.stat().st_mtime_ns
    (again,) = encode_parts([DOCUMENTS], tokenizer, tmp_path, 1)
    assert again == first
    assert first.path.stat().st_mtime_ns == before
    (other,) = encode_parts([DOCUMENTS], train_bpe(TEXTS, 260), tmp_path, 1)
    assert other.path != first.path
    assert other.text_digest == first.text_digest


def test_texts_that_are_cut_elsewhere_are_other_parts(tmp_path: Path) -> None:
    one, other = [Document("ab", ""), Document("c", "")], [Document("a", ""), Document("bc", "")]
    found = encode_parts([one, other], TOKENIZERS["bytes"], tmp_path, 1)
    assert found[0].text_digest != found[1].text_digest


def test_a_damaged_part_is_one_line_and_is_made_again(tmp_path: Path) -> None:
    (part,) = encode_parts([DOCUMENTS], TOKENIZERS["bytes"], tmp_path, 1)
    content = bytearray(part.path.read_bytes())
    content[200] ^= 1
    part.path.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged .* the same command makes it again"):
        part.read("tokens")
    (again,) = encode_parts([DOCUMENTS], TOKENIZERS["bytes"], tmp_path, 1)
    assert len(again.read("lengths")) == len(TEXTS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a\ud800", "line 2: expected Unicode text: surrogates not allowed"),
        ("a\0b", r"line 2: expected text without the character U\+0000, which ends documents"),
    ],
)
def test_text_that_no_token_stands_for_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    given = [Document("to be", "line 1"), Document(text, "line 2")]
    with pytest.raises(UserError, match=says):
        encode_parts([given], TOKENIZERS["bytes"], tmp_path, 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_word_that_a_vocabulary_has_not_is_one_line(tmp_path: Path, workers: int) -> None:
    library = LibraryTokenizer(models.WordLevel({"to": 0, "be": 1, "</s>": 2}))
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = OwnTokenizer(library.to_str().encode(), at="words.json")
    with pytest.raises(UserError) as no:
        encode_parts([DOCUMENTS], tokenizer, tmp_path, workers)
    assert str(no.value) == (
        "line 2: words.json: cannot tokenise the text: WordLevel error: Missing [UNK] token from "
        "the vocabulary"
    )
    assert not list(tmp_path.iterdir())


class Deadly(ByteTokenizer):
    """Kills the process that tokenises, as one that has no memory left does."""

    def __init__(self, parent: int) -> None:
        self.parent = parent

    def encode(self, text: str) -> np.ndarray:
        assert os.getpid() != self.parent
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def test_a_worker_that_is_killed_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a process that tokenises was killed"):
        encode_parts([DOCUMENTS], Deadly(os.getpid()), tmp_path, 2)
    assert not list(tmp_path.iterdir())


class Slow(ByteTokenizer):
    """Never gets done."""

    def encode(self, text: str) -> np.ndarray:
        time.sleep(60)
        raise AssertionError


class Unhurried(ByteTokenizer):
    """Gets done while somebody else presses Ctrl-C."""

    def encode(self, text: str) -> np.ndarray:
        time.sleep(0.2)
        return super().encode(text)


CALL = """
import sys
from pathlib import Path
from engram_sweep.corpus.own_text.parts import encode_parts
from tests.corpus.own_text.test_parts import DOCUMENTS, Slow
encode_parts([DOCUMENTS, DOCUMENTS[1:]], Slow(), Path(sys.argv[1]), 2)
"""
INTERRUPTED = """
import sys
from pathlib import Path
from engram_sweep.corpus.own_text.parts import encode_parts
from tests.corpus.own_text.test_parts import DOCUMENTS, Unhurried
try:
    encode_parts([DOCUMENTS, DOCUMENTS[1:]], Unhurried(), Path(sys.argv[1]), 2)
except KeyboardInterrupt:
    sys.exit(130)
"""


def command_of(pid: str) -> str:
    """The command line of a process; empty if it has ended."""
    try:
        return Path("/proc", pid, "cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def workers_of(pid: int) -> list[str]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [child for child in children if "spawn_main" in command_of(child)]


@pytest.mark.parametrize("seconds", [0, 0.2])
def test_ctrl_c_is_not_the_workers_affair(tmp_path: Path, seconds: float) -> None:
    """A terminal sends it to all processes of a call, also while workers still start."""
    call = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(workers_of(call.pid)) < 2:
        assert call.poll() is None
        time.sleep(0.01)
    time.sleep(seconds)
    os.killpg(call.pid, signal.SIGINT)
    assert call.communicate(timeout=60)[1] == ""
    assert call.returncode == 130


def test_workers_end_with_a_call_that_is_killed(tmp_path: Path) -> None:
    words = [sys.executable, "-c", CALL, str(tmp_path)]
    call = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    while len(workers := workers_of(call.pid)) < 2:
        assert call.poll() is None
        time.sleep(0.05)
    call.kill()
    call.wait()
    deadline = time.monotonic() + 30
    while any(command_of(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(command_of(pid) for pid in workers)
