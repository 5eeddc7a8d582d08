from __future__ import annotations

import numpy as np

from engram_sweep.corpus.manifest import fingerprint


def test_the_fingerprint_sees_type_shape_place_and_value() -> None:
    ids = np.arange(6, dtype=np.uint8)
    one = ids[:2]
    given = [
        (ids, one, one),
        (ids.astype(np.uint16), one, one),
        (ids[:5], one, one),
        (one, ids, one),
        (ids, one, one[::-1]),
        # The same bytes in another shape.
        (ids.reshape(2, 3), one, one),
    ]
    assert len({fingerprint(*arrays) for arrays in given}) == len(given)
