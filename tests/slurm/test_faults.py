"""S: SLURM's own ways, and those of the scripts that administrators wrap around its clients."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engram_sweep.launch import cancel as cancelling
from engram_sweep.launch.cancel import cancel
from tests.conftest import ROOT, call
from tests.slurm.cluster import Cluster
from tests.slurm.sweeps import door, driver, records, status, write_sweep
from tests.waiting import wait_for

Wrap = Callable[[str, str], dict[str, str]]

REQUEUE = """\
#!/bin/bash
if [ "$SLURM_RESTART_COUNT" ]; then touch {folder}/back-$SLURM_ARRAY_TASK_ID; exit; fi
touch {folder}/began-$SLURM_ARRAY_TASK_ID
until [ -e {folder}/door-$SLURM_ARRAY_TASK_ID ]; do sleep 0.1; done
export SUBMITIT_EXECUTOR=slurm PYTHONPATH={root}
{python} -c "from engram_sweep.job_environment import requeue; assert requeue()"
sleep 60
"""


@pytest.fixture
def wrap(tmp_path: Path, environment: dict[str, str]) -> Wrap:
    """Put a script in place of a client, in which `REAL` is the true one; return the variables."""

    def put(name: str, lines: str) -> dict[str, str]:
        folder = tmp_path / "wrappers"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f"#!/bin/bash\nREAL={shutil.which(name)}\n{lines}\n")
        (folder / name).chmod(0o755)
        environment["PATH"] = f"{folder}:{environment['PATH'].removeprefix(f'{folder}:')}"
        return environment

    return put


def submit_array(cluster: Cluster, folder: Path) -> str:
    """Three tasks that requeue themselves when their door opens, and end when they come back."""
    script = folder / "requeue.sh"
    script.write_text(REQUEUE.format(folder=folder, root=ROOT, python=sys.executable))
    words = ["--parsable", "--requeue", "--array=0-2", f"--output={folder}/out-%a"]
    number = cluster.ask("sbatch", *words, str(script)).strip()
    wait_for(lambda: len(list(folder.glob("began-*"))) == 3, 120)
    return number


def test_s1_every_task_of_an_array_comes_back(cluster: Cluster, tmp_path: Path) -> None:
    """Also the last one, whose SLURM_JOB_ID means all of them."""
    submit_array(cluster, tmp_path)
    for task in range(3):
        (tmp_path / f"door-{task}").touch()
    wait_for(lambda: len(list(tmp_path.glob("back-*"))) == 3, 120)


def test_s1_a_task_that_comes_back_brings_no_cancelled_ones(
    cluster: Cluster, tmp_path: Path
) -> None:
    number = submit_array(cluster, tmp_path)
    cluster.ask("scancel", f"{number}_0", f"{number}_1")
    wait_for(lambda: len(cluster.jobs()) == 1, 120)
    (tmp_path / "door-2").touch()
    wait_for((tmp_path / "back-2").exists, 120)
    wait_for(lambda: not cluster.jobs(), 120)
    assert not list(tmp_path.glob("back-[01]"))


def test_s2_the_environment_of_another_user(
    cluster: Cluster, tmp_path: Path, environment: dict[str, str]
) -> None:
    environment |= {"USER": "daemon", "LOGNAME": "daemon", "SQUEUE_PARTITION": "high"}
    sweeps = write_sweep(tmp_path / "sweeps", slurm={"setup": door(tmp_path / "door")})
    words = ("--sweeps", sweeps, "--results", tmp_path / "results")
    process = driver(*words, env=environment)
    wait_for(lambda: len(cluster.jobs()) == 2, 120)
    # Longer than it takes to believe that a job has ended.
    time.sleep(8)
    assert len(cluster.jobs()) == 2
    stopped = call("cancel", "smoke", *words, env=environment)
    assert stopped.stdout == "smoke: 2 jobs stopped\n", stopped.stderr
    process.communicate(timeout=120)
    assert process.returncode == 130
    assert not cluster.jobs()


@pytest.mark.slow
def test_s2_empty_answers_now_and_then(cluster: Cluster, tmp_path: Path, wrap: Wrap) -> None:
    count = tmp_path / "count"
    variables = wrap(
        "squeue",
        f'echo >> {count}; [ $(( $(wc -l < {count}) % 2 )) = 0 ] || exec $REAL "$@"',
    )
    sweeps = write_sweep(tmp_path / "sweeps", rho=(1.0,), slurm={"setup": door(tmp_path / "door")})
    before = len(cluster.jobs("--states=all"))
    process = driver("--sweeps", sweeps, "--results", tmp_path / "results", env=variables)
    wait_for(lambda: count.exists() and len(count.read_text()) > 6, 120)
    (tmp_path / "door").touch()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    assert len(cluster.jobs("--states=all")) == before + 1


@pytest.mark.parametrize(
    "says",
    [
        "echo 'sbatch: error: Socket timed out on send/recv operation' >&2; exit 1",
        "echo 'Welcome to the cluster; see job 4711'",
    ],
)
def test_s4_an_sbatch_that_succeeds_and_does_not_say_so(
    cluster: Cluster, tmp_path: Path, wrap: Wrap, says: str
) -> None:
    variables = wrap("sbatch", f'$REAL "$@" > /dev/null; {says}')
    # What a centre exports to nobody's jobs must not keep ours from python.
    variables["SBATCH_EXPORT"] = "NONE"
    sweeps = write_sweep(tmp_path / "sweeps", rho=(1.0,))
    results, before = tmp_path / "results", len(cluster.jobs("--states=all"))
    done = call("sweep", "smoke", "--sweeps", sweeps, "--results", results, env=variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(records(results)) == 1
    assert len(cluster.jobs("--states=all")) == before + 1


def killed_after_sbatch(tmp_path: Path, wrap: Wrap) -> tuple[str | Path, ...]:
    """A driver that dies when SLURM has its jobs, before it notes them."""
    variables = wrap("sbatch", '$REAL "$@" > /dev/null; kill -9 $PPID')
    sweeps = write_sweep(tmp_path / "sweeps", slurm={"setup": door(tmp_path / "door")})
    words = ("--sweeps", sweeps, "--results", tmp_path / "results")
    process = driver(*words, env=variables)
    process.communicate(timeout=120)
    assert process.returncode == -9
    assert not list(tmp_path.rglob("job.json"))
    return words


def test_s4_orphans_are_seen_and_cancelled(cluster: Cluster, tmp_path: Path, wrap: Wrap) -> None:
    words = killed_after_sbatch(tmp_path, wrap)
    assert {run["state"] for run in status(*words)["runs"]} <= {"queued", "running"}
    assert call("cancel", "smoke", *words).stdout == "smoke: 2 jobs stopped\n"
    assert not cluster.jobs()


def test_s4_orphans_are_adopted(cluster: Cluster, tmp_path: Path, wrap: Wrap) -> None:
    words = killed_after_sbatch(tmp_path, wrap)
    jobs = {line.split()[0] for line in cluster.jobs()}
    assert len(jobs) == 2
    (tmp_path / "door").touch()
    before = len(cluster.jobs("--states=all"))
    done = call("sweep", "smoke", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(cluster.jobs("--states=all")) == before, "none was submitted again"
    assert len(records(tmp_path / "results")) == 2


def test_s4_a_second_array_that_is_refused_takes_the_first_along(
    cluster: Cluster, tmp_path: Path, wrap: Wrap
) -> None:
    again = tmp_path / "again"
    variables = wrap(
        "sbatch", f'[ -e {again} ] && {{ echo no >&2; exit 1; }}; touch {again}; exec $REAL "$@"'
    )
    sweeps = write_sweep(
        tmp_path / "sweeps",
        rho=(1.0, 0.75, 0.5, 0.25, 0.0),
        slurm={"setup": door(tmp_path / "door")},
    )
    words = ("--sweeps", sweeps, "--results", tmp_path / "results")
    done = call("sweep", "smoke", *words, env=variables)
    assert done.returncode == 2
    assert done.stderr == "engram-sweep: SLURM refused the jobs: no\n"
    wait_for(lambda: not cluster.jobs(), 120)


@pytest.mark.slow
def test_s5_cancel_while_a_driver_submits(
    cluster: Cluster,
    tmp_path: Path,
    wrap: Wrap,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    variables = wrap("sbatch", f'touch {tmp_path}/submitting; sleep 4; exec $REAL "$@"')
    sweeps = write_sweep(tmp_path / "sweeps", slurm={"setup": door(tmp_path / "door")})
    process = driver("--sweeps", sweeps, "--results", tmp_path / "results", env=variables)
    wait_for((tmp_path / "submitting").exists, 120)
    monkeypatch.setattr(cancelling, "MAX_TURN_SECONDS", 0.5)
    cancel("smoke", tmp_path / "results")
    assert "a driver is submitting jobs; waiting for it" in capsys.readouterr().err
    process.communicate(timeout=120)
    assert process.returncode == 130
    wait_for(lambda: not cluster.jobs(), 120)
    assert not records(tmp_path / "results")


def test_s7_status_says_why_a_job_waits(
    cluster: Cluster, tmp_path: Path, environment: dict[str, str]
) -> None:
    """A time limit above its partition's: it would wait for ever."""
    sweeps = write_sweep(tmp_path / "sweeps", rho=(1.0,), slurm={"partition": "short"})
    words = ("--sweeps", sweeps, "--results", tmp_path / "results")
    process = driver(*words, env=environment)
    wait_for(lambda: cluster.jobs(), 120)
    (run,) = status(*words)["runs"]
    # SLURM names one of two reasons, and now and then changes from one to the other.
    one_of_two = "Partition(TimeLimit|Config)"
    assert run["state"] == "queued"
    assert re.fullmatch(one_of_two, run["waiting"])
    assert re.search(f"waits: {one_of_two}", call("status", "smoke", *words).stdout)
    assert call("cancel", "smoke", *words).returncode == 0
    out, _ = process.communicate(timeout=120)
    assert re.search(one_of_two, out), "the driver said it too"


@pytest.mark.slow
def test_slurm_without_its_controller_is_one_line(
    cluster: Cluster, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Within the time limit of `call`; how long SLURM's clients try is theirs."""
    config = tmp_path / "slurm.conf"
    port = next(line for line in cluster.config.read_text().splitlines() if "SlurmctldPort" in line)
    config.write_text(cluster.config.read_text().replace(port, "SlurmctldPort=9"))
    environment["SLURM_CONF"] = str(config)
    sweeps = write_sweep(tmp_path / "sweeps")
    words = ("--sweeps", sweeps, "--results", tmp_path / "results")
    done = call("sweep", "smoke", *words, env=environment)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "SLURM does not answer (scontrol show config)" in done.stderr
