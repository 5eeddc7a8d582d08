"""Workers that are forked are workers that start by themselves, but for the time they take."""

from __future__ import annotations

import gc
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from engram_sweep.config.slurm import Shape
from engram_sweep.corpus.shards import prepare
from engram_sweep.launch import snapshot
from engram_sweep.launch.executors import forking
from engram_sweep.launch.executors.forking import ForkServer
from engram_sweep.launch.executors.local import LocalExecutor
from engram_sweep.launch.jobs import Job
from engram_sweep.launch.worker_command import worker_command
from engram_sweep.planning.plan import Plan
from engram_sweep.runs.folder import RunFolder
from engram_sweep.runs.records import read_parquet
from tests.examples import work_order
from tests.waiting import wait_for

# Controllers that start by themselves are left to end so.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")

TIMING = ("tokens_per_second", "wall_seconds", "started_at", "finished_at")
LIGHT = """
import json, os, signal, sys, time
from pathlib import Path

def preload(home):
    assert not (Path(home) / "no preload").exists()
    if (Path(home) / "thread").exists():
        import threading
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()

def run(folder):
    signals = ("SIGTERM", "SIGINT", "SIGUSR2", "SIGCHLD")
    said = {
        "environment": dict(os.environ),
        "line": Path("/proc/self/cmdline").read_text(),
        "parent": Path(f"/proc/{os.getppid()}/cmdline").read_text(),
        "signals": [str(signal.getsignal(getattr(signal, name))) for name in signals],
        "there": [os.getcwd(), os.umask(0o077), sys.argv[0]],
        "pid": os.getpid(),
    }
    print("out")
    print("err", file=sys.stderr)
    rank = os.environ["SUBMITIT_LOCAL_GLOBALID"]
    whole = Path(folder) / f"said-{rank}.json"
    whole.with_suffix(".writing").write_text(json.dumps(said))
    whole.with_suffix(".writing").rename(whole)
    while not (Path(folder) / "open").exists():
        time.sleep(0.02)
    if (Path(folder) / "fails").exists():
        raise ValueError("last words")
"""
"""A worker that imports nothing, says how it stands, and waits for a door to open."""


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`<results>/<scale>` with a snapshot of this code but for its worker."""
    home = tmp_path_factory.mktemp("results") / "light"
    package = home / "code" / "digest" / "engram_sweep"
    shutil.copytree(snapshot.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "worker.py").write_text(LIGHT)
    return home


@pytest.fixture
def home(light: Path, tmp_path: Path) -> Path:
    shutil.copytree(light, tmp_path / "light")
    return tmp_path / "light"


def executor_of(home: Path, forks: bool = True, devices: int = 1) -> LocalExecutor:
    executor = LocalExecutor(5, Shape(devices=devices), home / "code" / "digest")
    if not forks:
        executor._fork_server = lambda folder: None
    return executor


def started(executor: LocalExecutor, home: Path, name: str, ranks: int = 1) -> tuple[Job, list]:
    """The job of a run, and what each of its workers says."""
    folder = home / "runs" / name
    folder.mkdir(parents=True)
    [job] = executor.submit([folder])
    files = [folder / f"said-{rank}.json" for rank in range(ranks)]
    wait_for(lambda: all(file.exists() for file in files))
    return job, [json.loads(file.read_text()) for file in files]


def ended(job: Job) -> bool:
    return LocalExecutor.states([job]) == ["ended"]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def server_of(executor: LocalExecutor) -> ForkServer:
    assert executor._server is not None
    return executor._server


def server_process(executor: LocalExecutor) -> Any:
    end = server_of(executor)._end
    assert end is not None
    found = end.peek()
    assert found is not None
    return found[2][1]


def test_a_fork_stands_as_a_worker_that_started_by_itself(home: Path) -> None:
    """Environment, command lines, signals, folder, umask, output: all but process ids."""
    executor = executor_of(home)
    found = {}
    for name, each in (("a", executor), ("b", executor_of(home, forks=False))):
        job, [said] = started(each, home, name)
        assert LocalExecutor.states([job]) == ["running"]
        assert LocalExecutor.jobs_of(home)[0].id == job.id
        (job.folder / "open").touch()
        wait_for(lambda job=job: ended(job))
        number = job.id.rpartition(":")[2]
        for end in ("out", "err"):
            assert (job.folder / "job" / f"{number}_0_log.{end}").read_text() == f"{end}\n"
        # The kernel shows all that there was room for.
        words = said.pop("line").rstrip("\0").split("\0")
        assert words == worker_command(job.folder, home / "code" / "digest")
        assert shlex.split(said["environment"].pop("SUBMITIT_LOCAL_COMMAND")) == words
        said["parent"] = said["parent"].rstrip("\0")
        del said["pid"]
        text = json.dumps(said).replace(str(job.folder), "FOLDER").replace(number, "JOB")
        found[name] = json.loads(text)
    assert found["a"] == found["b"]
    assert server_process(executor).poll() is None, "one was forked"


def test_several_workers_of_a_run_and_several_runs(home: Path) -> None:
    executor = executor_of(home, devices=2)
    jobs = []
    for name in ("a", "b"):
        job, said = started(executor, home, name, ranks=2)
        assert [each["environment"]["SUBMITIT_LOCAL_GLOBALID"] for each in said] == ["0", "1"]
        assert len({each["pid"] for each in said}) == 2
        jobs.append(job)
    assert {job.folder for job in LocalExecutor.jobs_of(home)} == {job.folder for job in jobs}
    for job in jobs:
        (job.folder / "open").touch()
    wait_for(lambda: all(map(ended, jobs)))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_is_killed_ends_its_job_and_no_other(home: Path, number: int) -> None:
    executor = executor_of(home)
    (first, [said]), (second, _) = started(executor, home, "a"), started(executor, home, "b")
    os.kill(said["pid"], number)
    wait_for(lambda: ended(first))
    assert not ended(second)
    LocalExecutor.cancel([second], force=number == signal.SIGKILL)
    wait_for(lambda: ended(second))


def test_a_worker_that_fails_leaves_its_last_words(home: Path) -> None:
    job, _ = started(executor_of(home), home, "a")
    (job.folder / "fails").touch()
    (job.folder / "open").touch()
    wait_for(lambda: ended(job))
    [log] = job.folder.glob("job/*_0_log.err")
    assert log.read_text().splitlines()[-1] == "ValueError: last words"


def test_forks_outlive_their_driver_and_the_server_does_not(home: Path) -> None:
    executor = executor_of(home)
    job, [said] = started(executor, home, "a")
    server = server_process(executor)
    del executor
    gc.collect()
    assert server.poll() is not None
    assert is_alive(said["pid"])
    assert not ended(job)
    (job.folder / "open").touch()
    wait_for(lambda: ended(job))


@pytest.mark.parametrize("why", ["killed", "no preload", "thread", "silent"])
def test_without_a_server_workers_start_by_themselves(
    home: Path, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = executor_of(home)
    if why == "killed":
        # Its forks live on, and must not hold the line open.
        started(executor, home, "first")
        server_process(executor).kill()
    elif why == "silent":
        monkeypatch.setattr(forking, "TIMEOUT_SECONDS", 0.01)
    else:
        (home / why).touch()
    began = time.monotonic()
    started(executor, home, "a")
    assert time.monotonic() - began < 100, "it was not waited for"
    assert server_of(executor)._given_up
    for each in LocalExecutor.jobs_of(home):
        (each.folder / "open").touch()
    wait_for(lambda: not LocalExecutor.jobs_of(home))


def test_on_gpus_and_without_a_snapshot_nothing_is_forked(home: Path) -> None:
    run = home / "runs" / "a"
    with_gpus = LocalExecutor(5, Shape(gpus_per_node=1), home / "code" / "digest")
    assert with_gpus._fork_server(run) is None
    assert LocalExecutor(5)._fork_server(run) is None


def test_a_command_line_is_replaced_if_there_is_room() -> None:
    script = (
        "import sys; from pathlib import Path; "
        "from engram_sweep.launch.executors.forking import appear_as; "
        "appear_as(['a b', 'c']); print(Path('/proc/self/cmdline').read_bytes()[:6]); "
        "appear_as(['long' * 1000])"
    )
    words = [sys.executable, "-c", script, "." * 1000]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(b"a b\0c\0")
    assert "ValueError: expected at most" in done.stderr


def test_a_fork_trains_what_a_worker_trains_that_starts_by_itself(
    one_run: Plan, tmp_path: Path
) -> None:
    """To the last bit, and it leaves the same files."""
    run, found, files = one_run.runs[0], [], []
    shards = prepare(run.spec.corpus, tmp_path / "corpora")
    for name in ("forked", "alone"):
        home = tmp_path / name
        here = RunFolder(home / "runs" / run.run_id)
        here.write_work_order(work_order(run, shards))
        code = snapshot.take(home / "code", {})
        if name == "forked":
            executor = LocalExecutor(5, code=code)
            [job] = executor.submit([here.path])
            wait_for(lambda job=job: ended(job), 200)
            assert server_process(executor).poll() is None
        else:
            subprocess.run(worker_command(here.path, code), check=True)
        assert here.is_done(), here.failure()
        record = read_parquet(here.record).iloc[0]
        found.append({key: repr(value) for key, value in record.items() if key not in TIMING})
        files.append({path.name for path in here.path.iterdir()} - {"job"})
    assert found[0] == found[1]
    assert files[0] == files[1]
