"""The sbatch script of an array of runs; submitit writes it, also on machines without SLURM."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import submitit

from engram_sweep.config.scale import Scale
from engram_sweep.config.slurm import Shape, Slurm
from engram_sweep.launch.executors.protocol import Resources
from engram_sweep.launch.executors.squeue import comment
from engram_sweep.launch.worker_command import array_command, runs_line


@dataclass(frozen=True)
class Request:
    """What jobs of a sweep are submitted with."""

    name: str
    """Name of the jobs."""
    slurm: Slurm
    shape: Shape
    """Nodes, processes and GPUs of one run."""
    minutes: int
    """Time limit of one job."""
    signal_seconds: int
    """How long before that a job gets the signal to write a checkpoint and requeue."""
    parallel: int
    """Jobs of an array side by side; 0 for no limit but the cluster's."""
    code: Path
    """The snapshot that jobs import, in `<results>/<scale>/code/`."""

    def script(self, folder: Path, run_ids: list[str], after: str | None = None) -> str:
        """Return the sbatch script of an array of runs, one each.

        Args:
            folder: where its files go, in `<results>/<scale>/jobs/`.
            run_ids: the runs, in the order of the array's tasks.
            after: the id of an array that has to end first.
        """
        python = self.slurm.python or shlex.quote(sys.executable)
        words = " ".join(filter(None, [self.slurm.container, python]))
        home = self.code.parent.parent
        writer = _Script(folder)
        writer.update_parameters(**self._parameters(run_ids), comment=comment(home, folder.name))
        if after:
            writer.update_parameters(dependency=f"afterany:{after}")
        if len(run_ids) > 1:
            writer.parameters["map_count"] = len(run_ids)
        text = writer._make_submission_file_text(array_command(words, home, self.code), "")
        # The names of outputs are then known before the job has an id.
        return re.sub(r"(%A_%a|%j)(?=_(0|%t)_log\.)", "%a" if len(run_ids) > 1 else "0", text)

    def _parameters(self, run_ids: list[str]) -> dict[str, Any]:
        slurm, shape = self.slurm, self.shape
        gpus = f"{slurm.gpu_type}:{shape.gpus_per_node}" if slurm.gpu_type else shape.gpus_per_node
        # srun does not take over sbatch's cpus-per-task since SLURM 22.05.
        cpus = [f"--cpus-per-task={slurm.cpus_per_task}"] if slurm.cpus_per_task else []
        return {
            "job_name": self.name,
            "partition": slurm.partition,
            "account": slurm.account,
            "qos": slurm.qos,
            "constraint": slurm.constraint,
            "time": self.minutes,
            "nodes": shape.nodes,
            "ntasks_per_node": shape.devices,
            "gpus_per_node": gpus if shape.gpus_per_node else None,
            "cpus_per_task": slurm.cpus_per_task,
            "mem": f"{round(slurm.mem_gb * 1024)}M" if slurm.mem_gb else None,
            "signal_delay_s": self.signal_seconds,
            "array_parallelism": self.parallel or len(run_ids),
            # submitit's own key would be refused if such keys are accounted.
            "wckey": None,
            "additional_parameters": {"requeue": True, **slurm.options()},
            "setup": [*slurm.setup, runs_line(run_ids)],
            # A rank that dies ends the job, or the others would wait for it; the log of a requeued
            # job goes on.
            "srun_args": [
                "--kill-on-bad-exit=1",
                "--open-mode=append",
                # Variables that the script exports, whatever SBATCH_EXPORT says.
                "--export=ALL",
                *cpus,
                *slurm.srun,
            ],
        }


class _Script(submitit.SlurmExecutor):
    """submitit's executor as a writer of scripts, also on machines without SLURM."""

    @classmethod
    def affinity(cls) -> int:
        return 2


def request_of(scale: Scale, resources: Resources, code: Path) -> Request:
    """Return what jobs of a scale are submitted with, which import the snapshot `code`."""
    launch = scale.launch
    return Request(
        name=f"engram-{scale.name}",
        slurm=resources.slurm,
        shape=resources.shape,
        minutes=launch.timeout_minutes,
        signal_seconds=resources.signal_seconds,
        parallel=launch.parallel,
        code=code,
    )
