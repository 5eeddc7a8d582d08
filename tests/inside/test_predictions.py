from __future__ import annotations

import numpy as np
import pytest

from engram_sweep.inside.predictions import predict
from engram_sweep.inside.trained import Trained


def test_losses_are_those_of_the_run_token_by_token(run: Trained) -> None:
    found = predict(run)
    n = len(run.shards.validation) - 1
    assert found.loss.shape == found.correct.shape == (n,)
    assert found.mean_loss == pytest.approx(run.validation_loss, abs=1e-6)


def test_a_part_of_the_windows_has_the_losses_that_it_has_among_all(run: Trained) -> None:
    every, window = 3, run.spec.training.window
    part, whole = predict(run, every=every), predict(run)
    kept = np.arange(len(whole.loss)) // window % every == 0
    np.testing.assert_allclose(part.loss, whole.loss[kept], atol=2e-5)
    assert (part.correct == whole.correct[kept]).mean() > 0.999
