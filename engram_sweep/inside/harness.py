"""A trained run as a model of EleutherAI's lm-eval, for tasks that lm-eval knows.

    import lm_eval
    from engram_sweep.inside.harness import HarnessModel

    found = lm_eval.simple_evaluate(HarnessModel(open_run(run_folder)), tasks=["piqa"])

lm-eval fetches its tasks from a hub; `task_files` needs no network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engram_sweep.corpus.survey import tokenizer_of
from engram_sweep.errors import UserError, not_installed
from engram_sweep.inside.likelihood import likelihoods
from engram_sweep.inside.trained import Trained

try:
    from lm_eval.api.model import LM  # type: ignore[import-not-found]
except ModuleNotFoundError:
    raise not_installed("harness", "lm-eval") from None

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance  # type: ignore[import-not-found]


class HarnessModel(LM):
    """What lm-eval asks of a model: likelihoods of texts.

    Args:
        run: the run, on the CPU.
    """

    def __init__(self, run: Trained) -> None:
        super().__init__()
        self.run = run
        self.tokenizer = tokenizer_of(run.shards)

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Return the log-likelihood of each continuation, nats, and whether it is greedy.

        Raises:
            UserError: the run's window cannot hold a continuation.
        """
        encode, window = self.tokenizer.encode, self.run.spec.training.window
        asked: list[Any] = [request.args for request in requests]
        pairs = [(encode(context), encode(continuation)) for context, continuation in asked]
        found = likelihoods(self.run.model, pairs, window, self.tokenizer.document_end)
        for one, (_, continuation) in zip(found, pairs, strict=True):
            if np.isnan(one.log):
                raise UserError(
                    f"{self.run.folder}: expected answers of at most {window} tokens (the run's "
                    f"window), got one of {len(continuation)}"
                )
        return [(one.log, one.greedy) for one in found]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Return the log-likelihood of each text, window by window, nats."""
        encode, window = self.tokenizer.encode, self.run.spec.training.window
        totals = []
        asked: list[Any] = [request.args for request in requests]
        for (text,) in asked:
            ids = encode(text)
            pieces = [ids[at : at + window] for at in range(0, len(ids), window)]
            # Windows as in validation: disjoint, each behind the last token of the one before it.
            starts = [self.tokenizer.document_end, *(int(piece[-1]) for piece in pieces[:-1])]
            totals.append(
                sum(
                    likelihoods(self.run.model, [(ids[:0], piece)], window, start)[0].log
                    for piece, start in zip(pieces, starts, strict=True)
                )
            )
        return totals

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Refuse: runs of a sweep are compared by likelihoods.

        Raises:
            UserError: always.
        """
        raise UserError(
            f"{self.run.folder}: expected tasks that ask for likelihoods, got one that lets the "
            "model write"
        )
