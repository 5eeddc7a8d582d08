from __future__ import annotations

import pyarrow as pa
import pytest

from engram_sweep.runs.measure_schema import MEASURED, misfit


def a_table(measure: str) -> pa.Table:
    """Two rows that a measure might have written."""
    schema = MEASURED[measure].schema

    def value(kind: pa.DataType) -> object:
        if pa.types.is_list(kind):
            return [0.5, 1.5]
        return "never" if pa.types.is_string(kind) else pa.types.is_boolean(kind) or 1

    row = {field.name: value(field.type) for field in schema}
    return pa.Table.from_pylist([row, row], schema)


def changed(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


@pytest.mark.parametrize("measure", sorted(MEASURED))
def test_what_a_measure_writes_fits(measure: str) -> None:
    table = a_table(measure)
    assert misfit(measure, table) is None
    may_be_empty = measure in ("gates", "hot-rows")
    assert (misfit(measure, table.slice(0, 0)) is None) == may_be_empty
    for name in table.column_names:
        assert misfit(measure, table.drop_columns([name]))
        assert misfit(measure, changed(table, name, pa.array([None, None])))


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("loss", pa.array(["1", "2"]), "loss: expected double, got string"),
        ("stratum", pa.array([1, 2]), "stratum: expected string, got int64"),
        ("loss", pa.array([1.0, float("inf")]), "loss: expected finite numbers"),
        ("loss", pa.array([1.0, float("nan")]), "loss: expected finite numbers"),
        ("loss", pa.array([1.0, None]), "loss: expected a value in every row"),
        ("order", pa.array([2, None], pa.int8()), "order: expected a value in every row"),
    ],
)
def test_a_column_of_another_kind_is_named(name: str, values: pa.Array, said: str) -> None:
    problem = misfit("strata", changed(a_table("strata"), name, values))
    assert problem is not None
    assert problem.startswith(said)


def test_columns_beside_its_own_are_named() -> None:
    table = a_table("strata")
    for more in (
        table.append_column("seed", pa.array([0, 0])),
        table.append_column("loss", table["loss"]),
    ):
        assert str(misfit("strata", more)).startswith("expected the columns order, stratum, ")


@pytest.mark.parametrize(
    "states", [[[1.0], [1.0, 2.0]], [[1.0, None], [1.0, 2.0]], [[1.0], [float("nan")]]]
)
def test_states_are_finite_and_of_one_length(states: list[list[float]]) -> None:
    table = changed(a_table("cka"), "state", pa.array(states, pa.list_(pa.float32())))
    assert str(misfit("cka", table)).startswith("state: expected ")
