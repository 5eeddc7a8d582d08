"""Task losses (paper Table 1, small form): how a run answers questions that it was not trained on.

Bits per byte of the right answer move long before a model chooses it, and do not depend on the
tokenizer. Choices are by log-likelihood per byte, so that short answers have no advantage. A task
of one answer counts it as correct if every token of it is the most likely one.
"""

from __future__ import annotations

from math import log

import numpy as np
import pandas as pd
import pyarrow as pa

from engram_sweep.corpus.survey import tokenizer_of
from engram_sweep.inside.likelihood import Likelihood, likelihoods
from engram_sweep.inside.measure import Measure
from engram_sweep.inside.task_files import TASKS, Question, read_task
from engram_sweep.inside.trained import Trained
from engram_sweep.runs.measure_schema import MEASURED

MIN_FLOPS = 1e16
"""Training FLOPs, 6 P_act tokens, below which nobody has shown that a task tells models apart.

DataDecide (arXiv 2504.11393) finds likelihoods of ARC, HellaSwag and others to speak for models of
1B parameters and 100B tokens at 0.01 % of their compute, which is 6e16. Parameters alone or the
window alone would let pass what has read too little, or hold back what has read enough."""
SCHEMA = MEASURED["eval"].schema


def hopeless(runs: pd.DataFrame) -> str | None:
    """Return why every task would be at chance; None if some run has trained enough.

    Args:
        runs: records, with `params_active` and `tokens`.
    """
    spent = 6.0 * runs["params_active"].to_numpy() * runs["tokens"].to_numpy()
    most = float(spent.max())
    if most >= MIN_FLOPS:
        return None
    return (
        f"expected runs of {MIN_FLOPS:.0e} training FLOPs or more (6 P_act tokens), got at most "
        f"{most:.1e}: every task would be at chance; --anyway measures all the same"
    )


def answers_of(run: Trained, task: str, questions: list[Question]) -> pa.Table:
    """Let a run answer the questions of a task.

    Args:
        run: the run.
        task: name of the task.
        questions: the questions; those with an answer that the window cannot hold are left out.

    Returns:
        `SCHEMA`, one row per question.
    """
    tokenizer = tokenizer_of(run.shards)
    pairs = [
        (tokenizer.encode(question.context), tokenizer.encode(answer))
        for question in questions
        for answer in question.answers
    ]
    scored = iter(likelihoods(run.model, pairs, run.spec.training.window, tokenizer.document_end))
    rows = []
    for question in questions:
        found = [next(scored) for _ in question.answers]
        if not any(np.isnan(one.log) for one in found):
            rows.append(_row(task, question, found))
    return pa.Table.from_pylist(rows, SCHEMA)


def _row(task: str, question: Question, found: list[Likelihood]) -> dict[str, object]:
    lengths = np.array([byte_length(answer) for answer in question.answers])
    right = found[question.right]
    chosen = int((np.array([one.log for one in found]) / lengths).argmax())
    return {
        "task": task,
        "document": question.number,
        "bits": -right.log / log(2),
        "bytes": int(lengths[question.right]),
        "correct": chosen == question.right if len(found) > 1 else right.greedy,
        "answers": len(found),
        "cut": any(one.cut for one in found),
    }


def byte_length(answer: str) -> int:
    """Return the bytes of an answer without the blank before it, as lm-eval counts them."""
    return max(1, len(answer.removeprefix(" ").encode()))


def _of_run(run: Trained) -> pa.Table:
    return pa.concat_tables([answers_of(run, task, read_task(task)) for task in TASKS])


MEASURE = Measure(name="eval", of_run=_of_run, hopeless=hopeless)
