"""What a finished sweep shows about the loss as a function of rho, with honest error bars.

`analysis` reads tables of finished runs and nothing else: no model, no training code, no torch.
The names below are for notebooks and scripts, e.g.

    from analysis import analyse_sweep, read_sweep, state_verdict

    result = analyse_sweep(read_sweep("tiny"))  # or read_sweep("my_runs.csv")
    print(state_verdict(result).sentence)

Each is loaded when it is first used, so `import analysis` stays light. Figures are imported from
their own modules, e.g. `from analysis.figures.loss_vs_rho import loss_vs_rho`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.rates.tuned_rates import analyse_rates as analyse_rates
    from analysis.report.ablation_sentences import ablation_table as ablation_table
    from analysis.report.ablation_sentences import state_ablation as state_ablation
    from analysis.report.comparison_sentences import state_comparison as state_comparison
    from analysis.report.joint_sentences import joint_json as joint_json
    from analysis.report.joint_sentences import state_joint as state_joint
    from analysis.report.numbers import as_json as as_json
    from analysis.report.numbers import per_rho as per_rho
    from analysis.report.rate_sentences import rates_table as rates_table
    from analysis.report.rate_sentences import state_rates as state_rates
    from analysis.report.slot_numbers import slots_json as slots_json
    from analysis.report.slot_sentences import state_slots as state_slots
    from analysis.report.verdict_sentences import state_verdict as state_verdict
    from analysis.report.write_joint import law_table as law_table
    from analysis.runs.conditions import AXES as AXES
    from analysis.runs.read import read_sweep as read_sweep
    from analysis.scaling.joint import JointAnalysis as JointAnalysis
    from analysis.scaling.joint import analyse as analyse
    from analysis.simulation.power import WANTED as WANTED
    from analysis.simulation.power import power as power
    from analysis.simulation.power import scaled as scaled
    from analysis.simulation.sweeps import TRUTHS as TRUTHS
    from analysis.simulation.sweeps import Noise as Noise
    from analysis.simulation.sweeps import simulate as simulate
    from analysis.slots.slots_analysis import SlotsAnalysis as SlotsAnalysis
    from analysis.slots.slots_analysis import analyse_slots as analyse_slots
    from analysis.sweep.ablation import analyse_ablation as analyse_ablation
    from analysis.sweep.comparison import compare as compare
    from analysis.sweep.noise_sources import noise_sources as noise_sources
    from analysis.sweep.sweep_analysis import SweepAnalysis as SweepAnalysis
    from analysis.sweep.sweep_analysis import analyse_sweep as analyse_sweep
    from analysis.sweep.verdict import judge as judge

_MODULES = {
    "AXES": "runs.conditions",
    "JointAnalysis": "scaling.joint",
    "Noise": "simulation.sweeps",
    "SlotsAnalysis": "slots.slots_analysis",
    "SweepAnalysis": "sweep.sweep_analysis",
    "TRUTHS": "simulation.sweeps",
    "WANTED": "simulation.power",
    "ablation_table": "report.ablation_sentences",
    "analyse": "scaling.joint",
    "analyse_ablation": "sweep.ablation",
    "analyse_rates": "rates.tuned_rates",
    "analyse_slots": "slots.slots_analysis",
    "analyse_sweep": "sweep.sweep_analysis",
    "as_json": "report.numbers",
    "compare": "sweep.comparison",
    "joint_json": "report.joint_sentences",
    "judge": "sweep.verdict",
    "law_table": "report.write_joint",
    "noise_sources": "sweep.noise_sources",
    "per_rho": "report.numbers",
    "power": "simulation.power",
    "rates_table": "report.rate_sentences",
    "read_sweep": "runs.read",
    "scaled": "simulation.power",
    "simulate": "simulation.sweeps",
    "slots_json": "report.slot_numbers",
    "state_ablation": "report.ablation_sentences",
    "state_comparison": "report.comparison_sentences",
    "state_joint": "report.joint_sentences",
    "state_rates": "report.rate_sentences",
    "state_slots": "report.slot_sentences",
    "state_verdict": "report.verdict_sentences",
}
"""Where each name of the face is defined."""


def __getattr__(name: str) -> object:
    """Import a name of the face when it is first asked for (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_MODULES)
