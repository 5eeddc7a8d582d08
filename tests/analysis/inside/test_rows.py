import pandas as pd

from analysis.inside.rows import at_rho, best_rho, count, of_curve


def test_the_curve_is_without_control_arms_and_the_best_rho_below_one():
    losses = [("moe", 1.0, 0, 0.9), ("engram", 0.5, 0, 1.2), ("engram", 0.5, 1, 1.0),
              ("engram", 0.25, 0, 1.15), ("one_row", 1.0, 0, 0.8)]  # fmt: skip
    table = pd.DataFrame(
        {"run_id": f"{arm}{rho}{seed}", "arm": arm, "rho": rho, "seed": seed,
         "validation_loss": loss}
        for arm, rho, seed, loss in losses
        for _ in range(1 + (seed == 0))
    )  # fmt: skip
    rows = of_curve(table)
    assert set(rows["arm"]) == {"moe", "engram"}
    assert len(at_rho(rows, 0.5)) == 3
    assert count(rows, "seed") == 2
    # Runs count once, however many rows they have: 1.1 at 0.5 beats 1.15.
    assert best_rho(rows) == 0.5
