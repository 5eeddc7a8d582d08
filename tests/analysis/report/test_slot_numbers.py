import json

import numpy as np

from analysis.report.slot_numbers import per_size, slots_json
from tests.analysis.slots.conftest import counted, only, quick, slots, without


def test_the_json_holds_what_was_read():
    result = quick(counted(slots("saturating")))
    found = json.loads(json.dumps(slots_json(result), allow_nan=False))
    engram, other = found["arms"]
    assert (engram["arm"], engram["word"]) == ("engram", "saturates")
    assert other["arm"] == "over_encoding"
    assert engram["slope"] == result.arms[0].slope.as_dict()
    assert set(engram["line"]["saturating_law"]) == {"start", "drop", "scale", "power"}
    assert set(engram["line"]["holds"]) == {"from", "to"}
    assert [size["rows_per_head"] for size in engram["sizes"]] == result.arms[0].rows.tolist()
    assert engram["sizes"][-1]["touched"] < 0.1
    assert engram["over_moe"]["over"] == "moe"
    (pair,) = found["paired"]
    assert pair["mean"] == result.paired[0].mean.as_dict()
    assert len(pair["at"]) == 6


def test_what_is_not_known_is_null():
    table = without(only(slots(seeds=1), 1), "moe", "over_encoding")
    found = json.loads(json.dumps(slots_json(quick(table))))
    (engram,) = found["arms"]
    assert engram["line"] is None
    assert engram["over_moe"] is None
    assert engram["slope"] == {"value": None, "low": None, "high": None}
    assert engram["sizes"][0]["se"] is None
    assert engram["sizes"][0]["table_rows"] is None
    assert found["paired"] == []


def test_one_row_per_arm_and_size():
    result = quick(counted(slots(run=1e-6)))
    table = per_size(result)
    assert len(table) == 12
    assert list(dict.fromkeys(table["arm"])) == ["engram", "over_encoding"]
    engram = table[table["arm"] == "engram"]
    np.testing.assert_allclose(engram["mean"], result.arms[0].means.loss)
    np.testing.assert_allclose(engram["touched"], engram["rows_touched"] / engram["table_rows"])
    np.testing.assert_allclose(np.diff(engram["gain_over_moe"]), 0.012, atol=1e-4)
