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
# # How the best share moves
#
# The paper found the same best share of experts, 75 to 80 %, at two budgets. Does it stay there
# with more compute, more sparsity, longer training? This notebook reads the finished runs of one or
# several sweeps or tables (environment variable `SCALES`, separated by spaces), splits them into
# conditions, and fits how $\rho^*$ and the gain over $\rho = 1$ depend on the axes that vary.
# Everything is computed by `analysis`.

# %% tags=["parameters"]
import os
from pathlib import Path

import pandas as pd
from IPython.display import Markdown, display

from analysis import AXES, analyse, joint_json, judge, law_table, read_sweep, state_joint
from analysis.figures.losses_by_condition import losses_by_condition
from analysis.figures.one_law import one_law
from analysis.figures.scaling import optimum_over_axes

SCALES = os.environ.get("SCALES", "tiny-axes")
RESULTS = Path(os.environ.get("RESULTS", "../results"))
NAME = " + ".join(Path(one).stem for one in SCALES.split())

# %% [markdown]
# ## The conditions
#
# A condition is what is held fixed along one curve. Its axes are read at $\rho = 1$.

# %%
runs = pd.concat([read_sweep(one, RESULTS) for one in SCALES.split()], ignore_index=True)
joint = analyse(runs, NAME)
pd.DataFrame(
    [
        {
            "condition": name,
            **{axis: one.axes.get(axis) for axis in AXES},
            "verdict": judge(sweep).word,
        }
        for name, one, sweep in zip(joint.labels, joint.conditions, joint.sweeps, strict=True)
    ]
)

# %% [markdown]
# ## Their curves
#
# Each minus its loss at the largest $\rho$, so that lengths and sizes fit on one panel; below,
# where each is lowest.

# %%
losses_by_condition(joint, NAME)

# %% [markdown]
# ## What they say together
#
# $\rho^*$ is taken as linear in the logarithm of every axis that varies, and the gain as a power of
# it. What the conditions cannot tell apart, or do not vary, is said.

# %%
Markdown("\n\n".join(state_joint(joint)))

# %% [markdown]
# ## Against the axes
#
# Dots: every condition by itself. Band: where a new condition is expected. Beside budgets stand the
# two optima that the paper prints.

# %%
if joint.scaling and joint.scaling.axes.names:
    display(optimum_over_axes(joint.scaling, NAME))
else:
    display(
        Markdown("No axis varies between these conditions, so there is nothing to draw against.")
    )

# %% [markdown]
# ## One law over all losses
#
# Along a single axis with three values or more, laws are fitted to the losses themselves: a floor,
# what training takes off every model alike, and two sides whose heights are powers of the axis. On
# yellow ground they extrapolate, for training length up to the 103 tokens per activated parameter
# of the paper.

# %%
if joint.raw and joint.raw.in_play:
    display(one_law(joint, NAME))
else:
    display(Markdown("No law over all losses is in play for these conditions."))

# %% [markdown]
# ## The law, condition by condition
#
# `missed by` is measured minus what the law of all other conditions predicts.

# %%
law_table(joint.scaling).round(4) if joint.scaling else Markdown(joint.reason)

# %% [markdown]
# ## Every number of the law with its interval

# %%
joint_json(joint, [])["joint"]
