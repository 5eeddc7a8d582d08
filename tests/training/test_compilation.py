"""Compiled runs: one graph for all points along rho, the same bits whoever compiled, resumable."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import count
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
from dataclasses import replace
from pathlib import Path
import torch
from engram_sweep.corpus.shards import load
from tests.conftest import prepare
from engram_sweep.training.train import train
from tests.training.test_options import spec
torch.set_num_threads(1)
asked = spec({}, {"compile": "on"}, steps=6)
experts = asked.geometry.routed_experts + int(sys.argv[3])
asked = replace(asked, geometry=replace(asked.geometry, routed_experts=experts))
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
    """Folders of compiled code: an own one, one that runs of other rho filled, the latter again."""
    attempts = count()

    def learn(folder: str, more_experts: int) -> str:
        logs = tmp_path / f"logs{next(attempts)}"
        words = [sys.executable, "-c", LEARN, tmp_path, logs, str(more_experts)]
        env = {
            **os.environ,
            "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / folder),
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
        }
        done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
        return done.stdout

    own = learn("own", 0)
    others = {learn("shared", more) for more in (3, -2)}
    assert own.endswith(", compiled\n")
    assert own not in others
    assert learn("shared", 0) == learn("shared", 0) == own
    assert len(list((tmp_path / "own").rglob("*.so"))) > 3
