"""The public face of analysis: what notebooks and scripts import."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import analysis


def names_for_type_checkers() -> set[str]:
    tree = ast.parse(Path(analysis.__file__).read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    return {
        alias.asname or alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("name", dir(analysis))
def test_a_name_of_the_face_is_the_one_of_its_module(name):
    value = getattr(analysis, name)
    room = import_module(f"analysis.{analysis._MODULES[name]}")
    assert value is getattr(room, name)


def test_type_checkers_see_the_same_names():
    assert names_for_type_checkers() == set(dir(analysis))


def test_another_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'analyze'"):
        _ = analysis.analyze


def test_the_face_itself_loads_nothing():
    code = (
        "import sys, analysis; print([m for m in ('numpy', 'pandas', 'scipy') if m in sys.modules])"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"
