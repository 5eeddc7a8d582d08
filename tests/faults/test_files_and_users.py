"""L: a colleague who looks, paths that schedulers misread, disks without locks, no memory left."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from engram_sweep.config.launch import Retries
from engram_sweep.config.strict_yaml import read_mapping
from engram_sweep.corpus.shards import prepare
from engram_sweep.errors import UserError
from engram_sweep.launch.driver import Driver
from engram_sweep.launch.executors.local import LocalExecutor
from engram_sweep.launch.status import Survey, folder_of
from engram_sweep.launch.sweep import check_path, sweep
from engram_sweep.planning.plan import Plan
from engram_sweep.runs.failures import kind_of
from engram_sweep.runs.records import read_runs
from tests.conftest import ROOT, SWEEPS, call, command, longer_sweep, write_two_runs
from tests.examples import work_order
from tests.faults.users import as_colleague, give_to_mallory
from tests.launch.conftest import Pretended
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory, smoke_results: Path) -> Path:
    """A finished sweep of another user, whose runs nobody else may look into."""
    results = Path(shutil.copytree(smoke_results, tmp_path_factory.mktemp("theirs") / "results"))
    give_to_mallory(results)
    return results


COMMANDS = ("status", "report", "fit", "export", "sweep", "rerun-failed")


@pytest.mark.parametrize("name", COMMANDS)
def test_l1_a_colleague_who_may_not_look(theirs: Path, tmp_path: Path, name: str) -> None:
    words = [tmp_path / "all.parquet"] if name == "export" else []
    done = as_colleague(name, "smoke", *words, "--results", theirs)
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert "you may not read or write it; its owner may let the group read" in line


def test_l1_a_colleague_may_not_cancel(theirs: Path) -> None:
    done = as_colleague("cancel", "smoke", "--results", theirs)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_l1_group_readable_lets_a_colleague_look(tmp_path: Path, smoke_results: Path) -> None:
    """Also runs that were trained before the key was set."""
    results, sweeps = tmp_path / "results", tmp_path / "sweeps"
    shutil.copytree(smoke_results, results)
    sweeps.mkdir()
    data = read_mapping(SWEEPS / "smoke.yaml")
    data["results"] = {"group_readable": True}
    (sweeps / "smoke.yaml").write_text(yaml.safe_dump(data))
    words = ("--sweeps", sweeps, "--results", results)
    assert call("sweep", "smoke", *words).returncode == 0
    # The group is this process's own, the owner is not.
    for path in (results, *results.rglob("*")):
        os.chown(path, 65_534, os.getegid(), follow_symlinks=False)
    assert "6 done of 6 runs" in as_colleague("status", "smoke", *words).stdout
    for name, *more in (("fit",), ("export", tmp_path / "all.parquet")):
        done = as_colleague(name, "smoke", *more, "--results", results)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [r"a$\frac$", "50% $x_$"])
def test_l2_a_dollar_sign_in_a_scale_s_name(tmp_path: Path, smoke_results: Path, name: str) -> None:
    results = tmp_path / "results"
    shutil.copytree(smoke_results / "smoke", results / name)
    done = call("report", name, "--results", results)
    assert done.returncode == 0, done.stderr
    assert (results / name / "loss_vs_rho.png").stat().st_size > 0


def test_l2_no_home_and_no_passwd_entry() -> None:
    """A container's user: `~` names nothing, so there is no user's file."""
    code = (
        "import os; [os.environ.pop(key, None) for key in ('HOME', 'XDG_CONFIG_HOME')];"
        "from engram_sweep.config.slurm import read_user_file, Slurm;"
        "os.setuid(54321); assert read_user_file() == Slurm()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["50%j", "a\\b", "a\nb", "%u%x"])
def test_l3_paths_that_a_scheduler_misreads(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="expected a results folder whose path has no"):
        check_path(tmp_path / name)
    results = tmp_path / name / "results"
    done = call("sweep", "smoke", "--results", results)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not results.exists()


def test_l4_results_deleted_in_mid_sweep(tmp_path: Path) -> None:
    """The driver ends in one line and takes its workers along; cancel finds those of another."""
    results, sweeps = tmp_path / "results", longer_sweep(tmp_path / "sweeps")
    words = command("sweep", "smoke", "--sweeps", sweeps, "--results", results)
    driver = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_progress(results)
    # Those who write there may be faster for a moment.
    while results.exists():
        shutil.rmtree(results, ignore_errors=True)
    _, err = driver.communicate(timeout=120)
    assert driver.returncode == 2
    assert b"expected a results folder with room to write" in err
    assert not LocalExecutor.jobs_of(results / "smoke")


def test_l4_cancel_finds_workers_whose_notes_are_gone(tmp_path: Path) -> None:
    results, sweeps = tmp_path / "results", longer_sweep(tmp_path / "sweeps")
    words = ("smoke", "--sweeps", sweeps, "--results", results)
    driver = subprocess.Popen(command("sweep", *words), cwd=ROOT, stdout=subprocess.DEVNULL)
    wait_for_progress(results)
    driver.kill()
    driver.wait()
    shutil.rmtree(results)
    assert call("cancel", *words).stdout == "smoke: 1 jobs stopped\n"
    assert not LocalExecutor.jobs_of(results / "smoke")


def wait_for_progress(results: Path) -> list[Path]:
    """Wait until runs train; return their folders."""
    wait_for(lambda: list(results.glob("smoke/runs/*/progress.json")))
    return [path.parent for path in results.glob("smoke/runs/*/progress.json")]


def test_l5_a_disk_without_locks(
    one_run: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for flock: no file system here lacks it."""

    def none(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(UserError, match=r"expected a disk with file locks \(flock\)"):
        sweep(one_run, tmp_path, lambda statuses: None, executor="inline")


@pytest.mark.parametrize("megabytes", [400, 800])
def test_l5_too_little_address_space_is_out_of_memory(
    one_run: Plan, smoke_results: Path, tmp_path: Path, pretended: Pretended, megabytes: int
) -> None:
    """Too little to load torch, and too little to import the rest."""
    here = folder_of(one_run.runs[0], tmp_path)
    shards = prepare(one_run.runs[0].spec.corpus, smoke_results / "corpora")
    here.write_work_order(work_order(one_run.runs[0], shards))
    (here.path / "job").mkdir()
    limit = megabytes << 20
    code = "import sys; from engram_sweep.worker import run; run(sys.argv[1])"

    def work(folder: Path) -> None:
        with (folder / "job" / "1_0_log.err").open("wb") as log:
            subprocess.run(
                [sys.executable, "-c", code, str(folder)],
                cwd=ROOT,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
            )

    # The worker says so itself, or a library aborts it in mid-import and the driver reads its log.
    # One that dies without a word either way is of the kind `node`, which is tried again.
    pretended.work = work
    (status,) = Driver(
        Survey(one_run, tmp_path), pretended, parallel=1, retries=Retries(), timeout_minutes=60
    ).run()
    assert status.failure is not None
    assert status.failure["kind"] == "out of memory", status.failure


@pytest.mark.parametrize(
    "error",
    [
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("can't start new thread"),
        ValueError("record does not fit the schema: malloc of size 960 failed"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_l5_libraries_that_only_say_that_there_is_no_memory(error: Exception) -> None:
    assert kind_of(error) == "out of memory"


def test_l5_a_run_folder_deleted_in_mid_sweep_is_made_again(tmp_path: Path) -> None:
    results, sweeps = tmp_path / "results", longer_sweep(tmp_path / "sweeps", tokens=300_000)
    words = command("sweep", "smoke", "--sweeps", sweeps, "--results", results)
    driver = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL)
    (folder,) = wait_for_progress(results)
    while folder.exists():
        # Its worker writes to it meanwhile.
        shutil.rmtree(folder, ignore_errors=True)
    assert driver.wait(120) == 0
    assert read_runs("smoke", results).outcome.tolist() == ["ok"]


def test_l5_two_versions_of_one_yaml_each_see_their_own_table(tmp_path: Path) -> None:
    """The second starts while the first trains, and ends before it."""
    results = tmp_path / "results"
    first = longer_sweep(tmp_path / "first", tokens=400_000)
    second = longer_sweep(tmp_path / "second", tokens=4096)
    words = command("sweep", "smoke", "--sweeps", first, "--results", results)
    driver = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL)
    wait_for_progress(results)
    assert call("sweep", "smoke", "--sweeps", second, "--results", results).returncode == 0
    assert read_runs("smoke", results).tokens.tolist() == [4096]
    assert driver.wait(120) == 0
    assert read_runs("smoke", results).tokens.min() > 300_000


def test_l6_a_local_note_from_the_future(tmp_path: Path) -> None:
    """It keeps nobody waiting: the process table says whether its worker is there."""
    results, sweeps = tmp_path / "results", write_two_runs(tmp_path / "sweeps")
    words = ("--sweeps", sweeps, "--results", results)
    assert call("sweep", "smoke", *words).returncode == 0
    for record in results.rglob("record.parquet"):
        record.unlink()
        note = {"executor": "local", "id": "here:1", "submitted_at": "2999-01-01T00:00:00+00:00"}
        (record.parent / "job.json").write_text(json.dumps(note))
    said = call("status", "smoke", *words).stdout
    assert not re.search("queued|running", said), said
    assert call("cancel", "smoke", *words).stdout == "smoke: 0 jobs stopped\n"
