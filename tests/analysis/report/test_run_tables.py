"""The tables of all runs on the page."""

from analysis.report.run_tables import MAX_ROWS, Runs, all_runs, every_run, once, rows_left_out
from analysis.sweep.sweep_analysis import analyse_sweep
from tests.analysis.tables import full_table, sweep


def of(frame) -> Runs:
    return Runs((frame,), frame, frame.iloc[:0])


def test_every_run_of_a_sweep_is_in_the_table():
    table = full_table()
    runs = all_runs(analyse_sweep(table))
    assert len(runs) == len(table)
    assert every_run(of(runs)).count("<tr>") == 1 + len(table)


def test_a_run_of_two_curves_is_one():
    runs = sweep().assign(run_id=[f"{number:032x}" for number in range(27)])
    both = once(runs.iloc[[*range(27), 3, 4]])
    assert list(both["run_id"]) == list(runs["run_id"])


def test_rows_beyond_the_limit_are_said():
    few = sweep()
    many = few.loc[few.index.repeat(MAX_ROWS // len(few) + 1)]
    assert rows_left_out(of(few), "tiny") == ""
    assert f"of {len(many)} runs" in rows_left_out(of(many), "tiny")
