"""What a SLURM cluster is asked for: `launch.slurm` of a scale and the user's `cluster.yaml`.

The user's file says how things are on the cluster (partition, account, how python is activated),
once for all sweeps; a scale says what its runs need. If both give a key, the scale's wins as a
whole: lists are replaced, not joined.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from engram_sweep.config.sections import Count
from engram_sweep.config.strict_yaml import Section, first_problem, read_mapping
from engram_sweep.errors import UserError

Line = Annotated[str, Field(pattern=r"^[^\r\n]+$")]
"""One line of text: a value that broke out of its line would be another line of the script."""
Lines = Annotated[tuple[Line, ...], Field(strict=False)]

_OPTION = re.compile(r"--(?P<key>[a-z][a-z-]*)(=(?P<value>.+))?")
SET_BY_US = frozenset(
    {
        "array",
        "comment",
        "dependency",
        "error",
        "job-name",
        "nodes",
        "no-requeue",
        "ntasks-per-node",
        "open-mode",
        "output",
        "parsable",
        "signal",
        "time",
        # With these sbatch submits elsewhere, nothing, something else, or waits for the job.
        "clusters",
        "help",
        "quiet",
        "test-only",
        "usage",
        "version",
        "wait",
        "wrap",
        # A worker needs the variables that its script exports.
        "export",
        "export-file",
    }
)
"""Options that the launch sets or relies on; a second setting would break watching and signals."""


class Slurm(Section):
    """How jobs are submitted; every key may be left out."""

    partition: Line | None = None
    """Partition, or several by commas."""
    account: Line | None = None
    """Account that is charged."""
    qos: Line | None = None
    """Quality of service."""
    constraint: Line | None = None
    """Features of the nodes."""
    nodes: Count | None = None
    """Nodes of one run; with GPUs, `launch.gpus` over `gpus_per_node` if left out."""
    gpus_per_node: Count | None = None
    """GPUs that a whole node has, 8 if left out: a run with more takes several nodes."""
    gpu_type: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")] | None = None
    """The type in `--gpus-per-node=TYPE:N`, on clusters that have several."""
    processes_per_node: Count | None = None
    """Processes of a run without GPUs; with GPUs there is one process per GPU."""
    cpus_per_task: Count | None = None
    """Cores of each process."""
    mem_gb: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """Memory per node in GB (powers of 1024, as SLURM counts)."""
    signal_seconds: Annotated[int, Field(ge=10, le=65535)] | None = None
    """How long before its time limit a job gets USR2, to write a checkpoint and requeue.

    120 if left out."""
    sbatch: Lines = ()
    """Further options, one each: `--exclusive`, `--reservation=nights`."""
    srun: Lines = ()
    """Further arguments of srun, one each: `--container-image=lab.sqsh`."""
    setup: Lines = ()
    """Shell commands before the run, e.g. `module load cuda` or `export NCCL_DEBUG=WARN`."""
    container: Line | None = None
    """What stands before python: `apptainer exec --nv lab.sif`."""
    python: Line | None = None
    """The interpreter on the nodes; the one that submits if left out."""

    @model_validator(mode="after")
    def _options(self) -> Slurm:
        for line in self.sbatch:
            found = _OPTION.fullmatch(line)
            if found is None:
                raise ValueError(f"sbatch: expected --option or --option=value, got {line!r}")
            if found["key"] in SET_BY_US:
                raise ValueError(
                    "sbatch: expected an option that engram-sweep does not set itself, got "
                    f"{line!r}"
                )
        for line in self.srun:
            if line.partition("=")[0] in ("--export", "--export-file", "--output", "--error"):
                raise ValueError(
                    "srun: expected an argument that engram-sweep does not set itself, got "
                    f"{line!r}"
                )
        return self

    def options(self) -> dict[str, str | bool]:
        """`sbatch` as a mapping from option to value, True if it has none."""
        found = [match for match in map(_OPTION.fullmatch, self.sbatch) if match]
        return {match["key"]: match["value"] or True for match in found}


@dataclass(frozen=True)
class Shape:
    """What one run occupies."""

    nodes: int = 1
    devices: int = 1
    """Processes on each node: one per GPU, or as many as were asked for if there are none."""
    gpus_per_node: int = 0
    """0 for runs without GPUs."""

    @property
    def processes(self) -> int:
        """Ranks of one run."""
        return self.nodes * self.devices


def user_file() -> Path:
    """Return the path of the user's file, in $XDG_CONFIG_HOME or `~/.config`."""
    # An empty variable counts as unset (XDG base directory specification). `~` stays as it is for
    # a user without a home, as in some containers: there is no such file then.
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(base) / "engram-sweep" / "cluster.yaml"


def read_user_file() -> Slurm:
    """Return the user's keys; none if there is no such file.

    Raises:
        UserError: the file is no YAML mapping, or a key of it is unknown or wrong.
    """
    path = user_file()
    if not path.exists():
        return Slurm()
    data = read_mapping(path)
    if not data:
        raise UserError(f"{path}: expected a mapping of keys ({', '.join(Slurm.model_fields)})")
    try:
        return Slurm.model_validate(data)
    except ValidationError as error:
        raise UserError(f"{path}: {first_problem(error, Slurm)}") from None


def merged(scale: Slurm, user: Slurm) -> Slurm:
    """Return the keys of a launch: the scale's if it gives them, else the user's."""
    keys = user.model_dump(exclude_unset=True) | scale.model_dump(exclude_unset=True)
    return Slurm.model_validate(keys)


def shape(slurm: Slurm, gpus: int, batch_windows: int) -> Shape:
    """Nodes, processes and GPUs of one run.

    Args:
        slurm: the merged keys.
        gpus: GPUs of one run; 0 for runs without.
        batch_windows: windows of one step, which the processes divide among themselves.

    Raises:
        UserError: GPUs or windows do not divide evenly.
    """
    per_node = min(gpus, slurm.gpus_per_node or 8)
    nodes = slurm.nodes or (-(-gpus // per_node) if gpus else 1)
    if gpus % nodes:
        what = "slurm.nodes" if slurm.nodes else "slurm.gpus_per_node"
        got = slurm.nodes or per_node
        raise UserError(
            f"{what}: expected whole nodes with equally many of the {gpus} GPUs of launch.gpus, "
            f"got {got}"
        )
    found = Shape(nodes, gpus // nodes if gpus else slurm.processes_per_node or 1, gpus // nodes)
    if batch_windows % found.processes:
        raise UserError(
            f"slurm.processes_per_node: expected nodes x processes ({found.nodes} x "
            f"{found.devices}) to divide training.batch_windows ({batch_windows})"
        )
    return found
