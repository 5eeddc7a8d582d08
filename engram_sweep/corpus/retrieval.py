"""Needles and variable chains in token space: what a window holds and a table cannot know.

A text of this kind is a stretch of other text with statements strewn into it, and questions behind
it (RULER, arXiv 2404.06654: multi-query needles, variable tracking). `SAYS name value` gives a name
a value, `LINKS name other` gives it that of another name, `ASKS name value` asks for it. A needle
is a chain without links. Names and values are drawn anew in every text, so that no n-gram is of any
use beyond its window.

The symbols are the last ids of the vocabulary: bytes that UTF-8 does not have (the marks) or hardly
ever has, or the rarest pieces of a byte-pair vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engram_sweep.corpus.tokenizer import Tokenizer

VERSION = 1
"""Rises if the texts change, so that no shards made by older rules are taken for them."""
NAMES = VALUES = 32
"""Symbols of each kind; a guess among values is right one time in 32."""
MAX_CHAINS = 8
"""Chains of one text."""
MAX_HOPS = 2
"""Links from a name to the one that has a value."""
SPARSENESS = 16
"""Tokens of a text for each statement, at least."""
ROUNDS = 4
"""Times that a text of training asks for every name: small models learn from answers, and a text
that asks once is few of them."""
MIN_TOKENS = 2 * SPARSENESS
"""Of the shortest text."""
SEED = 20260107372


@dataclass(frozen=True)
class Symbols:
    """Ids that statements are made of."""

    says: int
    links: int
    asks: int
    names: np.ndarray
    """(NAMES,)."""
    values: np.ndarray
    """(VALUES,)."""


@dataclass(frozen=True)
class Text:
    """One text and its Q questions."""

    tokens: np.ndarray
    """(L,) int64."""
    answers: np.ndarray
    """(Q,) positions in `tokens` of the values that are asked for."""
    distances: np.ndarray
    """(Q,) tokens from the value where it was said to the answer."""


def symbols_of(tokenizer: Tokenizer) -> Symbols:
    """Return the symbols of a vocabulary, from its end; never its special ids."""
    special = {tokenizer.pad_id, tokenizer.document_end}
    last = (i for i in range(tokenizer.vocab_size - 1, -1, -1) if i not in special)
    ids = np.array([next(last) for _ in range(3 + NAMES + VALUES)], np.int64)
    says, links, asks = ids[:3].tolist()
    return Symbols(says, links, asks, ids[3 : 3 + NAMES], ids[3 + NAMES :])


def write_text(
    haystack: np.ndarray,
    length: int,
    hops: int,
    symbols: Symbols,
    rng: np.random.Generator,
    rounds: int = 1,
) -> Text:
    """Write one text.

    Args:
        haystack: ids to strew statements into, at least `length` of them; the first ones are used.
        length: L, at least `MIN_TOKENS`.
        hops: links of every chain, 0 for needles.
        symbols: what statements are made of.
        rng: source of random numbers.
        rounds: times that every chain is asked for, each time in another order; at most `ROUNDS`.
    """
    chains = int(np.clip(length // (SPARSENESS * (1 + hops)), 1, MAX_CHAINS))
    names = rng.permutation(symbols.names)[: chains * (1 + hops)].reshape(chains, -1)
    values = rng.choice(symbols.values, chains)
    # Statements of a chain stand in their order, those of several chains in any.
    turns = rng.permutation(np.repeat(np.arange(chains), 1 + hops))
    hay = haystack[: length - 3 * (len(turns) + chains * rounds)]
    places = np.sort(rng.integers(0, len(hay) + 1, len(turns)))
    parts: list[np.ndarray] = []
    said = np.zeros(chains, np.int64)
    done = np.zeros(chains, np.int64)
    at, before = 0, 0
    for turn, place in zip(turns.tolist(), places.tolist(), strict=True):
        step = int(done[turn])
        name = names[turn, step]
        statement = [symbols.links, name, names[turn, step - 1]]
        if step == 0:
            statement = [symbols.says, name, values[turn]]
            # The value is the last of the three, behind the text and the statements before it.
            said[turn] = place + at + 2
        parts += [hay[before:place], np.array(statement)]
        at, before = at + 3, place
        done[turn] += 1
    asked = np.concatenate([rng.permutation(chains) for _ in range(rounds)])
    questions = [np.array([symbols.asks, names[one, -1], values[one]]) for one in asked]
    answers = length - 3 * len(asked) + 3 * np.arange(len(asked)) + 2
    tokens = np.concatenate([*parts, hay[before:], *questions]).astype(np.int64)
    return Text(tokens, answers, answers - said[asked])


def mixed_in(
    documents: list[np.ndarray], share: float, longest: int, tokenizer: Tokenizer
) -> Iterator[np.ndarray]:
    """Yield documents with texts between them, spread evenly.

    Half of the texts are needles, the others chains of one or two links; lengths are even in their
    logarithm, from `MIN_TOKENS` on.

    Args:
        documents: ids, each ended by the tokenizer's `document_end`; texts are strewn into pieces
            of them.
        share: of all tokens that are yielded, below 1.
        longest: tokens of the longest text, `MIN_TOKENS` at least.
        tokenizer: of the documents.
    """
    rng, symbols = np.random.default_rng([SEED, VERSION]), symbols_of(tokenizer)
    hay = np.concatenate(documents)
    hay = hay[hay != tokenizer.document_end]
    read = written = 0
    for document in documents:
        yield document
        read += len(document)
        while written < share / (1 - share) * read:
            length = round(float(np.exp(rng.uniform(np.log(MIN_TOKENS), np.log(longest)))))
            hops = int(rng.choice(1 + MAX_HOPS, p=[0.5, 0.25, 0.25]))
            start = int(rng.integers(0, max(1, len(hay) - length)))
            text = write_text(hay[start : start + length], length, hops, symbols, rng, ROUNDS)
            yield np.append(text.tokens, tokenizer.document_end)
            written += length + 1
