from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from engram_sweep.compiler import compiler_is_missing


def test_a_machine_without_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "no-compiler"))
    assert compiler_is_missing() == f"no C++ compiler ({tmp_path}/no-compiler)"
    monkeypatch.setenv("CXX", " ")
    assert compiler_is_missing() == "no C++ compiler (CXX is empty)"


def test_a_machine_without_headers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", "sh -c")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    assert compiler_is_missing() == "no headers of Python"
    (tmp_path / "Python.h").touch()
    assert compiler_is_missing() is None
