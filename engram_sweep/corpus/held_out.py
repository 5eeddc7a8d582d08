"""Which documents are held out."""

from __future__ import annotations

import xxhash


def held_out(lengths: dict[str, int], share: float) -> set[str]:
    """Whole documents, in the order of their names' hashes, until they hold `share` of the tokens.

    At least one document is held out and at least one is left to train on.
    """
    order = sorted(lengths, key=lambda name: xxhash.xxh3_64_intdigest(name.encode()))
    chosen: set[str] = set()
    while len(chosen) < len(order) - 1 and (
        not chosen or sum(lengths[name] for name in chosen) < share * sum(lengths.values())
    ):
        chosen.add(order[len(chosen)])
    return chosen
