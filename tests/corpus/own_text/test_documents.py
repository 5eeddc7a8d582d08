from __future__ import annotations

import gzip
import io
import os
import random
import sys
import types
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram_sweep.corpus.own_text import documents
from engram_sweep.corpus.own_text.documents import Inputs
from engram_sweep.errors import UserError


def texts(*names: str | Path, key: str = "text") -> list[str]:
    return [document.text for document in Inputs(tuple(map(str, names)), key).documents()]


@pytest.mark.parametrize("kind", ["text", "jsonl", "gz", "zst", "parquet"])
def test_every_format_gives_the_same_documents(
    kind: str, files: dict[str, Path], speeches: list[str]
) -> None:
    inputs = Inputs((str(files[kind]),), "body")
    counted: list[int] = []
    assert [each.text for each in inputs.documents(counted.append)] == speeches
    assert sum(counted) == inputs.size() > 0


def test_several_inputs_follow_one_another(files: dict[str, Path], speeches: list[str]) -> None:
    assert texts(files["gz"], files["parquet"], key="body") == speeches * 2


@given(st.text(st.sampled_from("ab é中\r\n\u2028"), max_size=200), st.integers(1, 9))
def test_pieces_of_a_text_file_are_the_text(text: str, least: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "MIN_CUT", least)
        patch.setattr(documents, "MAX_CUT", 3 * least)
        found = list(documents._of_text(io.BytesIO(text.encode()), Path("a.txt")))
    assert "".join(each.text for each in found) == text
    for each in found[:-1]:
        assert len(each.text) >= least


def test_a_long_text_file_is_cut_at_blank_lines(tmp_path: Path) -> None:
    paragraph = "To be, or not to be.\n" * 100 + "\n"
    (tmp_path / "a.txt").write_text(paragraph * 100)
    found = list(Inputs((str(tmp_path),)).documents())
    assert len(found) == 4
    assert all(each.text.endswith("\n\n") for each in found)
    assert found[1].at == f"{tmp_path / 'a.txt'}, line {1 + found[0].text.count(chr(10))}"


def test_a_byte_order_mark_and_blank_lines_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfto be")
    (tmp_path / "b.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "or"}\n\n{"text": ""}\n')
    assert texts(tmp_path) == ["to be", "or"]


def test_keys_that_are_not_read_may_stand_twice(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 1, "text": "to be", "id": 2, "of": {"text": "no"}}')
    assert texts(tmp_path) == ["to be"]


def parquet(rows: list[dict[str, Any]]) -> bytes:
    return parquet_of(pyarrow.Table.from_pylist(rows))


def parquet_of(table: pyarrow.Table) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink)
    return sink.getvalue()


# The same in every process: tests are named after their parameters.
TRUNCATED = gzip.compress(random.Random(0).randbytes(1000), mtime=0)[:-50]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"one\ntwo\0", "a.txt, line 2: expected text, found a binary file"),
        ("a.txt", b"one\nt\xe9o\nthree", "a.txt, line 2: expected UTF-8: invalid continuation"),
        ("a.txt", b"one\ntw\xc3", "a.txt, line 2: expected UTF-8: it ends in a character"),
        ("a.jsonl", b'{"text": "a"}\n{"text": ', "a.jsonl, line 2: expected a JSON object: Exp"),
        ("a.jsonl", b'{"text": "a"}\n\n[1]\n', "a.jsonl, line 3: expected a JSON object, got list"),
        ("a.jsonl", b"[" * 100_000, "a.jsonl, line 1: expected a JSON object: "),
        ("a.jsonl", b'{"text": "\xff"}', "a.jsonl, line 1: expected UTF-8: invalid start byte"),
        (
            "a.jsonl",
            b'{"body": "a", "id": 1}',
            "a.jsonl, line 1: expected the key 'text', found body, id; name it by --text-key",
        ),
        (
            "a.jsonl",
            b'{"text": "a", "id": 1, "text": "b"}',
            "a.jsonl, line 1: expected the key 'text' once, found it 2 times",
        ),
        (
            "a.parquet",
            parquet_of(pyarrow.table([["a"], ["b"]], names=["text", "text"])),
            "a.parquet: expected the key 'text' once, found it 2 times",
        ),
        ("a.jsonl", b'{"text": null}', "a.jsonl, line 1: text: expected text, got None"),
        ("a.jsonl.gz", TRUNCATED, "a.jsonl.gz: cannot be read: Truncated compressed stream"),
        ("a.jsonl.gz", b"no gzip", "a.jsonl.gz: cannot be read: zlib inflate failed"),
        ("a.jsonl.zst", b"no zstd", "a.jsonl.zst: cannot be read: ZSTD decompress failed"),
        ("a.parquet", b"no table", "a.parquet: cannot be read: "),
        (
            "a.parquet",
            parquet([{"body": "a"}]),
            "a.parquet: expected the key 'text', found body; name it by --text-key",
        ),
        (
            "a.parquet",
            parquet([{"text": "a"}, {"text": None}]),
            "a.parquet, row 2: text: expected text, got None",
        ),
    ],
)
def test_what_cannot_be_read_is_one_line(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as no:
        texts(tmp_path)
    assert str(no.value).startswith(f"{tmp_path}/{says}")
    assert "\n" not in str(no.value)


def test_names_that_lead_nowhere_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a folder with files, found none"):
        texts(tmp_path)
    with pytest.raises(UserError, match="nowhere: expected a file, a folder or hf:OWNER/NAME"):
        texts(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match=r"pipe: cannot be read: .*expected a plain file"):
        texts(tmp_path / "pipe")


def test_of_a_folder_everything_is_read_behind_links_too(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / ".hidden").mkdir(parents=True)
    (elsewhere / ".hidden" / "no.txt").write_text("no")
    (elsewhere / "c.txt").write_text("that")
    home = tmp_path / "home"
    (home / "a").mkdir(parents=True)
    (home / "a" / "a.txt").write_text("to be")
    (home / "a" / "up").symlink_to(home, target_is_directory=True)
    (home / "a.txt").write_text("or not")
    (home / "b").symlink_to(elsewhere, target_is_directory=True)
    (home / "c").symlink_to(elsewhere / "c.txt")
    assert texts(home) == ["to be", "or not", "that", "that"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pipe", "pipe: cannot be read: expected a plain file or a folder"),
        ("link", "link: cannot be read: No such file or directory"),
        ("loop", "loop: cannot be read: Too many levels of symbolic links"),
        ("shut", "shut: cannot be read: Permission denied"),
    ],
)
def test_what_of_a_folder_cannot_be_read_is_one_line(
    name: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("to be")
    path = tmp_path / name
    if name == "pipe":
        os.mkfifo(path)
    elif name == "shut":
        path.mkdir()
        scan = os.scandir

        # Root, who may run the tests, may read any folder.
        def refused(folder: str) -> Any:
            if str(folder) == str(path):
                raise PermissionError(13, "Permission denied", str(path))
            return scan(folder)

        monkeypatch.setattr(os, "scandir", refused)
    else:
        path.symlink_to(path if name == "loop" else "nowhere")
    with pytest.raises(UserError) as no:
        texts(tmp_path)
    assert str(no.value) == f"{tmp_path}/{says}"


def hub(load_dataset: Any) -> types.ModuleType:
    module = types.ModuleType("datasets")
    module.__dict__["load_dataset"] = load_dataset
    return module


def test_a_data_set_is_read_row_by_row_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(name: str, **options: Any) -> list[dict[str, str]]:
        asked.append((name, options))
        return [{"story": "to be"}, {"story": ""}, {"story": "or not"}]

    monkeypatch.setitem(sys.modules, "datasets", hub(load))
    assert texts("hf:owner/name:test", "hf:other", key="story") == ["to be", "or not"] * 2
    assert asked == [
        ("owner/name", {"split": "test", "streaming": True}),
        ("other", {"split": "train", "streaming": True}),
    ]
    with pytest.raises(UserError, match="hf:other, row 1: expected the key 'text', found story"):
        texts("hf:other")


def test_a_data_set_that_cannot_be_had_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match="data set package datasets is not installed: pip install"):
        texts("hf:owner/name")

    def load(name: str, **options: Any) -> None:
        raise ConnectionError("no network\nat all")

    monkeypatch.setitem(sys.modules, "datasets", hub(load))
    with pytest.raises(UserError, match=r"^hf:owner/name: ConnectionError: no network$"):
        texts("hf:owner/name")
