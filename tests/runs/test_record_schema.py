from __future__ import annotations

import pyarrow as pa
import pytest

from engram_sweep.runs.record_schema import SCHEMA, SCHEMA_VERSION, fits
from tests.runs.test_records import values


@pytest.fixture
def record() -> pa.Table:
    return pa.Table.from_pylist([{"schema_version": SCHEMA_VERSION, **values()}], schema=SCHEMA)


def test_a_record_and_a_part_of_one_fit(record: pa.Table) -> None:
    assert fits(record)
    assert fits(record.select(["run_id", "rho"]), ["run_id", "rho"])
    assert fits(record.append_column("of_next_year", pa.array([1])))


def test_what_is_none(record: pa.Table) -> None:
    at = SCHEMA.names.index("validation_loss")
    assert not fits(record.slice(0, 0))
    assert not fits(record.drop_columns(["outcome"]))
    assert not fits(record.select(["rho"]), ["outcome", "rho"])
    assert not fits(pa.concat_tables([record, record]))
    assert not fits(record.set_column(at, "validation_loss", pa.array(["1.0"])))
    assert not fits(record.set_column(at, "validation_loss", pa.array([None], pa.float64())))
    assert fits(record.set_column(SCHEMA.names.index("driver"), "driver", pa.array([None], "str")))
