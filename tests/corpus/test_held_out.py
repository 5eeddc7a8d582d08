from __future__ import annotations

import numpy as np

from engram_sweep.corpus.held_out import held_out


def test_held_out_share_is_met_by_whole_documents() -> None:
    rng = np.random.default_rng(0)
    lengths = {f"d{i}": int(n) for i, n in enumerate(rng.integers(1, 1000, 200))}
    for share in (0.001, 0.05, 0.5, 0.999):
        chosen = held_out(lengths, share)
        tokens = sum(lengths[name] for name in chosen)
        assert 0 < len(chosen) < len(lengths)
        assert tokens >= share * sum(lengths.values()) or len(chosen) == len(lengths) - 1
        assert tokens - 1000 < share * sum(lengths.values())
    assert held_out(lengths, 0.05) <= held_out(lengths, 0.1)
