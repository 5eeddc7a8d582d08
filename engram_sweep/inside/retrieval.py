"""Retrieval inside the window (paper section 5, Table 2, small form): needles and variable chains.

The paper extends a 27B model to 32k tokens and asks RULER's questions. Here models have read texts
of the same kind in training (`corpus.retrieval_share`), because small ones follow no instruction,
and are asked in new ones as long as their window, strewn into held-out text. An answer is one
token, right if it is the most likely of the whole vocabulary: exact match.

Who takes any value that the text says, the last one for example, without looking at names is right
as often as `guess` says; at one distance alone such a rule may be always right.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
import torch.nn.functional as F

from engram_sweep.corpus.retrieval import MAX_HOPS, Text, symbols_of, write_text
from engram_sweep.corpus.survey import tokenizer_of
from engram_sweep.inside.measure import Measure
from engram_sweep.inside.trained import Trained
from engram_sweep.runs.measure_schema import MEASURED

TEXTS = 256
"""Texts of each number of links."""
SEED = 7102010620
"""Of the texts, which are the same for all runs of a sweep and others than those of training."""
BATCH_TOKENS = 2**13
"""Tokens of one forward pass."""
SCHEMA = MEASURED["retrieval"].schema


def hopeless(runs: pd.DataFrame) -> str | None:
    """Return why no run can find anything; None if some have seen such texts in training.

    Args:
        runs: records, with `spec`.
    """
    corpora = (json.loads(str(spec))["corpus"] for spec in runs["spec"])
    if any(corpus.get("retrieval_share") for corpus in corpora):
        return None
    return (
        "expected runs whose training text has needles and chains (corpus.retrieval_share), got "
        "none; --anyway asks all the same"
    )


def texts_of(run: Trained) -> list[tuple[int, Text]]:
    """Return the texts that a run is asked about, with their links: as long as its window."""
    shards, window = run.shards, run.spec.training.window
    tokenizer = tokenizer_of(shards)
    symbols, hay = symbols_of(tokenizer), np.asarray(shards.validation)
    hay = hay[hay != tokenizer.document_end]
    texts = []
    for hops in range(1 + MAX_HOPS):
        for number in range(TEXTS):
            rng = np.random.default_rng([SEED, hops, number])
            start = int(rng.integers(0, max(1, len(hay) - window)))
            # A short held-out text is read over again.
            piece = np.resize(hay[start : start + window], window)
            texts.append((hops, write_text(piece, window, hops, symbols, rng)))
    return texts


@torch.inference_mode()
def ask(run: Trained, texts: list[Text]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, for each text, which of its Q answers are right and their losses, (Q,) each, nats.

    Args:
        run: the run.
        texts: of equal length, no longer than the window.
    """
    start = tokenizer_of(run.shards).document_end
    per_batch = max(1, BATCH_TOKENS // len(texts[0].tokens))
    for first in range(0, len(texts), per_batch):
        batch = texts[first : first + per_batch]
        tokens = torch.from_numpy(np.stack([text.tokens for text in batch]))
        # A text is a document: the token that ends the one before it predicts its first.
        inputs = torch.cat([torch.full((len(batch), 1), start), tokens[:, :-1]], dim=1)
        looked_up = [memory.look_up(inputs) for memory in run.model.memories()]
        hidden = run.model.hidden(inputs, looked_up)
        for text, states, ids in zip(batch, hidden, tokens, strict=True):
            answers = torch.from_numpy(text.answers)
            logits = run.model.head(states[answers]).float()
            right = logits.argmax(-1) == ids[answers]
            loss = F.cross_entropy(logits, ids[answers], reduction="none")
            yield right.numpy(), loss.double().numpy()


def _of_run(run: Trained) -> pa.Table:
    asked = texts_of(run)
    rows = []
    found = ask(run, [text for _, text in asked])
    for (hops, text), (right, loss), number in zip(asked, found, range(len(asked)), strict=True):
        # Powers of two: as many questions at each of a few distances.
        distance = 2 ** np.floor(np.log2(text.distances)).astype(int)
        values = text.tokens[text.answers]
        guess = (values == values[:, None]).mean(axis=1)
        for lowest in np.unique(distance).tolist():
            here = distance == lowest
            sums = (each[here].sum() for each in (np.ones(len(here)), right, loss, guess))
            rows.append((hops, lowest, number, *sums))
    columns = zip(*rows, strict=True)
    return pa.table([np.array(column) for column in columns], names=SCHEMA.names).cast(SCHEMA)


MEASURE = Measure(name="retrieval", of_run=_of_run, hopeless=hopeless)
