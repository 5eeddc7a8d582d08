"""Compiled runs: one graph for all points along rho, the same bits whoever compiled, resumable."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engram_sweep.compiler import compiler_is_missing
from engram_sweep.model.initialization import initialise
from engram_sweep.model.transformer import Transformer
from engram_sweep.training import compilation
from engram_sweep.training.compilation import (
    MIN_TOKENS,
    compile_model,
    is_compiled,
)
from tests.conftest import ROOT
from tests.model.shapes import CLASSES, GEOMETRIES, tokens
from tests.training.test_options import spec

LEARN = """
import sys
from pathlib import Path
import torch
from engram_sweep.corpus.shards import load
from tests.conftest import prepare
from engram_sweep.training.train import train
from tests.training.test_options import spec
torch.set_num_threads(1)
asked = spec({}, {"compile": "on"}, steps=6)
shards = load(prepare(asked.corpus, Path(sys.argv[1])))
result = train(asked, shards, Path(sys.argv[2]))
print(result.window_losses, result.device)
"""


@pytest.mark.parametrize(
    ("asked", "tokens_", "lacks", "compiled"),
    [
        ("off", MIN_TOKENS, None, False),
        ("on", 1, None, True),
        ("auto", MIN_TOKENS, None, True),
        ("auto", MIN_TOKENS - 1, None, False),
        ("auto", MIN_TOKENS, "no C++ compiler (g++)", False),
    ],
)
def test_auto_is_for_long_runs_where_there_is_a_compiler(
    monkeypatch: pytest.MonkeyPatch, asked: str, tokens_: int, lacks: str | None, compiled: bool
) -> None:
    monkeypatch.setattr(compilation, "compiler_is_missing", lambda: lacks)
    training = replace(spec({}, {}).training, compile=asked, tokens=tokens_)
    assert is_compiled(training) == compiled


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_other_numbers_of_experts_are_not_compiled_again() -> None:
    torch.compiler.reset()
    graphs, first = [], 0

    def backend(graph, inputs):
        graphs.append(graph)
        return graph

    for experts in (9, 6, 5):
        geometry = replace(GEOMETRIES["engram"], routed_experts=experts)
        model = Transformer(geometry, CLASSES)
        initialise(model, 0)
        compile_model(model, backend=backend, fullgraph=True)
        batch = tokens(2, 13)
        model(batch[:, :-1], targets=batch[:, 1:]).mean().backward()
        if experts == 9:
            first = len(graphs)
    assert len(graphs) == first
    torch.compiler.reset()


@pytest.mark.slow
@pytest.mark.skipif(
    compiler_is_missing() is not None, reason=f"{compiler_is_missing()} for torch.compile"
)
def test_bits_do_not_depend_on_who_compiled_first(tmp_path: Path) -> None:
    """Two folders of compiled code, filled one by one, and one of them read again."""
    said = [
        subprocess.run(
            [sys.executable, "-c", LEARN, tmp_path, tmp_path / f"logs{i}"],
            cwd=ROOT,
            env={
                **os.environ,
                "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / folder),
                "TORCHINDUCTOR_COMPILE_THREADS": "1",
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for i, folder in enumerate(("a", "b", "b"))
    ]
    assert said[0].endswith(", compiled\n")
    assert len(set(said)) == 1
    assert len(list((tmp_path / "a").rglob("*.so"))) > 3
