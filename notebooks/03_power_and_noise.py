# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Noise, and what it lets a sweep say
#
# A gain of a hundredth of a nat is about as large as the difference between two runs that differ by
# their seed alone. This notebook shows how noisy a finished sweep is, where that noise comes from,
# how many seeds and points a gain of a given size needs at that noise, and what a "90 % interval"
# promises. Choose the sweep with the environment variable `SCALE`; everything is computed by
# `analysis`.

# %% tags=["parameters"]
import os
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Markdown, display

from analysis import (
    TRUTHS,
    WANTED,
    Noise,
    analyse_sweep,
    noise_sources,
    power,
    read_sweep,
    scaled,
    simulate,
)
from analysis.figures.noise import intervals_and_truth, power_over_gain, residuals_over_rho

SCALE = os.environ.get("SCALE", "tiny")
RESULTS = Path(os.environ.get("RESULTS", "../results"))
NAME = Path(SCALE).stem

# %%
result = analyse_sweep(read_sweep(SCALE, RESULTS), NAME)
means = result.means
Markdown(
    f"{len(result.sweep.curve)} runs along {len(means.rho)} values of rho, {means.seeds} seeds. "
    f"**Run noise {means.sigma:.4f} nats/token** ({means.dof} degrees of freedom)."
)

# %% [markdown]
# ## Where the noise comes from
#
# Runs of one seed share their text, its order, and every initial value they have in common; what
# shifts all of them is gone from a difference. What is left is the run itself, which more seeds
# average away, and the finite validation set, which they do not: every run reads the same windows,
# and some rho suit them better by chance. Runs at rho = 1 may scatter more than others, so they
# have a row of their own. Numbers are standard deviations in a difference between a rho and rho =
# 1, in nats/token.

# %%
noise_sources(means).round(4)

# %% [markdown]
# The intervals give rho = 1 a noise of its own, as many times that of other runs as the runs and a
# prior say; below it they take noise as equal, and a test says whether it is. Here is what each run
# has beyond its rho's mean and its seed's shift.

# %%
p = result.diagnostics.unequal_noise
display(residuals_over_rho(result))
ratio = result.anchor_noise
loud = (
    "No run at rho = 1 to compare."
    if ratio.value is None
    else f"Noise at rho = 1: {ratio.value:.1f} [{ratio.low:.1f}, {ratio.high:.1f}] times the rest."
)
Markdown(loud + ("" if p is None else f" Noise equal apart from that: p = {p:.2g}."))

# %% [markdown]
# ## How many seeds and points
#
# Simulated sweeps at this noise, with the paper's curve stretched to a given gain, on rho from the
# sweep's smallest up to 1: how often does the test find a gain over pure MoE? `engram-sweep power
# SCALE` answers it for any scale before anything is trained.

# %%
noise = Noise(
    run=means.sigma if np.isfinite(means.sigma) else Noise().run, anchor=ratio.value or 1.0
)
gains = noise.run * np.array([0.5, 1, 2, 4])
designs = {
    f"{seeds} seeds x {points} points": (seeds, points)
    for seeds, points in ((3, 6), (3, 12), (6, 6))
}
found = {
    name: [
        power(gain, np.linspace(means.rho[0], 1, points), seeds, noise, trials=60) for gain in gains
    ]
    for name, (seeds, points) in designs.items()
}
power_over_gain(gains, {name: [one.gain for one in row] for name, row in found.items()}, WANTED)

# %% [markdown]
# A U needs more than a gain: the other end has to be worse too. The share of sweeps in which one is
# supported:

# %%
pd.DataFrame(
    {name: [one.u for one in row] for name, row in found.items()},
    index=pd.Index(gains.round(4), name="true gain"),
).round(2)

# %% [markdown]
# ## What a 90 % interval promises
#
# Were the sweep repeated with other seeds, nine in ten intervals would hold the true gain. Below
# are twenty simulated sweeps of 9 points x 3 seeds at this noise; the line is the truth. `make
# coverage` counts many more, for curves of many shapes; its table is in `docs/lab-notebook.md`.

# %%
truth = scaled(TRUTHS["paper"], 6 * noise.run)
tables = [
    simulate(truth, np.linspace(0.2, 1, 9), 3, noise, np.random.default_rng(seed))
    for seed in range(20)
]
gained = [analyse_sweep(table, draws=100).gain_over_moe for table in tables]
intervals = np.array([[one.low, one.value, one.high] for one in gained])
intervals_and_truth(intervals, 6 * noise.run, "gain over rho = 1 (nats/token)")
