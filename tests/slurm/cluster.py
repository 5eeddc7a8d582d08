"""A real, throw-away SLURM on this machine.

Munged, slurmctld and some slurmd with fake GPUs, on loopback only.

No systemd, no cgroups, no accounting: `sacct` fails, as on many clusters. All nodes are this
    machine, so their names do
not resolve: jobs of several nodes need MASTER_ADDR=127.0.0.1.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.waiting import wait_for

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
NODES = 4
CPUS, MEMORY_MB, GPUS = 8, 16_000, 8
"""That each node claims to have."""
MAX_ARRAY_SIZE = 4
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "console")
"""Any character device passes for a GPU; a plain file does not."""

CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
SlurmctldParameters=preempt_send_user_signal
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
MaxArraySize={max_array_size}
ReturnToService=2
KillWait=2
MinJobAge=3600
InactiveLimit=0
SlurmctldTimeout=30
SlurmdTimeout=30
GresTypes=gpu
{nodes}
PartitionName=normal Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=5 PreemptMode=OFF
PartitionName=low Nodes=ALL MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE GraceTime=10
PartitionName=high Nodes=ALL MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
PartitionName=short Nodes=ALL MaxTime=1 PriorityTier=5 PreemptMode=OFF
"""


def what_is_missing() -> str | None:
    """Why this machine cannot run one, if it cannot."""
    # Debian has the daemons where only root looks.
    os.environ["PATH"] = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"needs {', '.join(missing)}: apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "needs root: the daemons run as SLURM's own user"


@dataclass
class Cluster:
    """A running cluster."""

    folder: Path
    ports: list[int] = field(default_factory=lambda: free_ports(NODES + 1))

    @property
    def config(self) -> Path:
        """What SLURM_CONF has to name."""
        return self.folder / "slurm.conf"

    def start(self) -> None:
        """Bring it up: all nodes idle, which takes well under a second."""
        self._write()
        os.environ["SLURM_CONF"] = str(self.config)
        at = self.folder
        words = [
            f"--key-file={at}/munge.key",
            f"--socket={at}/munge.socket",
            f"--pid-file={at}/munged.pid",
        ]
        subprocess.run(
            ["munged", *words, f"--log-file={at}/munged.log", f"--seed-file={at}/munge.seed"],
            check=True,
        )
        self.start_controller()
        for number in range(1, NODES + 1):
            (at / f"spool-node{number}").mkdir()
            self.start_node(number)
        self.wait_until_idle()

    def start_controller(self) -> None:
        """Start slurmctld; it forks into the background."""
        subprocess.run(["slurmctld"], check=True)

    def start_node(self, number: int) -> None:
        """Start the slurmd of a node, counted from 1; it forks into the background."""
        subprocess.run(["slurmd", "-N", f"node{number}"], check=True)

    def stop_controller(self) -> None:
        """Stop slurmctld; jobs go on."""
        self._kill("slurmctld")

    def stop_node(self, number: int) -> None:
        """Stop a node's slurmd, as if the machine were off, and kill what it ran."""
        self._kill(f"slurmd-node{number}")

    def ask(self, *words: str) -> str:
        """What a client prints; empty where it fails."""
        return subprocess.run(words, capture_output=True, text=True, timeout=30).stdout

    def jobs(self, *words: str) -> list[str]:
        """Lines of squeue, `ID STATE NAME`, waiting and running jobs unless `words` differ."""
        return self.ask("squeue", "-h", "-r", "-o", "%i %T %j", *words).splitlines()

    def wait_until_idle(self) -> None:
        """All nodes take jobs.

        One that SLURM drained, because a job took long to die, takes them again.
        """

        def idle() -> bool:
            if (
                self.ask("sinfo", "-hN", "-p", "normal", "-t", "idle", "-o", "%N").count("node")
                == NODES
            ):
                return True
            self.ask("scontrol", "update", f"nodename=node[1-{NODES}]", "state=resume")
            return False

        wait_for(idle, 120)

    def clear(self) -> None:
        """Cancel all jobs and wait until they are gone and the nodes are idle."""
        self.ask("scancel", "--user=root")
        wait_for(lambda: not self.jobs(), 120)
        self.wait_until_idle()

    def stop(self) -> None:
        """Take it down and remove its files."""
        if (self.folder / "slurmctld.pid").exists():
            with suppress(AssertionError, subprocess.TimeoutExpired):
                self.clear()
        for file in sorted(self.folder.glob("*.pid"), key=lambda path: "munged" in path.name):
            self._kill(file.stem)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _kill(self, name: str) -> None:
        pid = int((self.folder / f"{name}.pid").read_text())
        with suppress(ProcessLookupError):
            os.kill(pid, 15)
        wait_for(lambda: _is_gone(pid), 120)

    def _write(self) -> None:
        host = platform.node().split(".")[0]
        (self.folder / "state").mkdir()
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(128))
        files = ",".join(f"/dev/{name}" for name in DEVICES[:GPUS])
        (self.folder / "gres.conf").write_text(f"Name=gpu File={files}\n")
        nodes = "\n".join(
            f"NodeName=node{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={CPUS} "
            f"RealMemory={MEMORY_MB} Gres=gpu:{GPUS} State=UNKNOWN"
            for number, port in enumerate(self.ports[1:], 1)
        )
        self.config.write_text(
            CONFIG.format(
                host=host,
                folder=self.folder,
                port=self.ports[0],
                nodes=nodes,
                max_array_size=MAX_ARRAY_SIZE,
            )
        )


def new_folder() -> Path:
    """A folder for a cluster: its name is short, because a socket's has to fit into 108 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    # munged refuses a socket that not everyone can reach.
    folder.chmod(0o755)
    return folder


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nothing listens at now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _is_gone(pid: int) -> bool:
    try:
        # A zombie whose parent does not reap it is gone for our purposes.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True
