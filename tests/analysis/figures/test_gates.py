import numpy as np

from analysis.figures.gates import gates_by_stratum
from analysis.inside.gates import analyse_gates
from tests.analysis.inside.test_gates import gates_rows


def test_every_stratum_has_a_mean_with_its_interval():
    rows, _ = gates_rows()
    [axes] = gates_by_stratum(analyse_gates(rows, "demo"), "demo").axes
    means = [line for line in axes.lines if line.get_marker() == "o" and np.size(line.get_xdata())]
    assert len(means) == 3
    assert all(0.4 < np.array(line.get_ydata()).item() < 1 for line in means)
