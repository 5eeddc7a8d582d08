"""Any bytes in place of a file that is read back: one line or "absent", never a wrong number.

Other things than files are put there too: a folder, a pipe, a link to itself.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engram_sweep.config import slurm as cluster_keys
from engram_sweep.config.scale import load_scale
from engram_sweep.corpus.shards import prepare, verified
from engram_sweep.errors import UserError
from engram_sweep.launch import snapshot
from engram_sweep.launch.driver_lock import CancelMark, holder_of, turn
from engram_sweep.launch.executors import squeue
from engram_sweep.launch.jobs import now
from engram_sweep.launch.status import Survey, folder_of
from engram_sweep.planning.plan import Plan
from engram_sweep.runs.record_cache import collect
from engram_sweep.runs.records import FILE_NAME, is_done, read_runs, runs_folder
from engram_sweep.training.checkpoints import Checkpoints
from engram_sweep.training.weights import load_trained
from tests.conftest import SWEEPS
from tests.examples import work_order
from tests.training.conftest import state_of_a_model

COLUMNS = ["run_id", "validation_loss", "seed", "rho", "steps", "window_losses"]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["runs", "at", "id", "executor", "kind", "message", "log", "step", "x"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@dataclass(frozen=True)
class Place:
    """Something else than a file."""

    kind: str


@dataclass(frozen=True)
class Bytes:
    """What a file holds; of a record that is too much to print."""

    data: bytes = field(repr=False)


@st.composite
def mutated(draw: st.DrawFn, truth: bytes) -> bytes:
    """The true bytes, cut, overwritten, or with some put in between."""
    at = draw(st.integers(0, max(0, len(truth) - 1)))
    end = draw(st.integers(at, min(len(truth), at + 64)))
    return truth[:at] + draw(st.binary(max_size=64)) + truth[end:]


@st.composite
def edited(draw: st.DrawFn, truth: bytes) -> bytes:
    """A true JSON object with one value replaced, or the bytes cut if it is no object."""
    try:
        data = json.loads(truth)
    except ValueError:
        return truth[: draw(st.integers(0, len(truth)))]
    if not isinstance(data, dict) or not data:
        return json.dumps(draw(JSON)).encode()
    key = draw(st.sampled_from(sorted(data)))
    if draw(st.booleans()):
        del data[key]
    else:
        data[key] = draw(JSON)
    return json.dumps(data).encode()


def contents(truth: bytes) -> st.SearchStrategy[Bytes | Place]:
    """What may stand in the place of a file."""
    data = st.one_of(
        mutated(truth),
        edited(truth),
        st.binary(max_size=200),
        JSON.map(lambda data: json.dumps(data).encode()),
        st.just(b"[" * 100_000),
    )
    return data.map(Bytes) | st.sampled_from(["folder", "pipe", "loop", "dangling"]).map(Place)


@contextmanager
def in_place_of(path: Path, content: Bytes | Place) -> Iterator[None]:
    """Put something in place of a file, and the file back afterwards."""
    kept = path.with_name(f"{path.name}.kept")
    path.rename(kept)
    try:
        if isinstance(content, Bytes):
            path.write_bytes(content.data)
        elif content.kind == "folder":
            path.mkdir()
        elif content.kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(path.name if content.kind == "loop" else "nowhere")
        yield
    finally:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        kept.rename(path)


@dataclass
class Files:
    """A sweep with finished runs, one that is not, and all that is read of them."""

    plan: Plan
    results: Path
    corpus: Path
    unfinished: Path
    user_file: Path
    sweeps: Path
    truth: dict[str, dict[str, Any]]
    """True values of `COLUMNS`, by run id."""

    @property
    def home(self) -> Path:
        return self.results / "smoke"

    @property
    def finished(self) -> Path:
        return folder_of(self.plan.runs[0], self.results).path

    def look(self) -> None:
        """Ask for the state of all runs, as status and a driver do."""
        for status in Survey(self.plan, self.results).poll():
            json.dumps(status.row())
            if status.finished:
                assert status.validation_loss == self.truth[status.run.run_id]["validation_loss"]

    def read(self) -> None:
        """Read the finished runs, as report and fit do: what is read is true."""
        for row in (
            read_runs("smoke", self.results).reindex(columns=COLUMNS).to_dict(orient="records")
        ):
            row["window_losses"] = list(row["window_losses"])
            assert row == self.truth[row["run_id"]]

    def read_all(self) -> None:
        """Read the copy of all records."""
        collect(runs_folder(self.results, "smoke"), FILE_NAME)
        self.read()

    def look_at_the_driver(self) -> None:
        holder_of(self.home)
        with turn(self.home):
            pass

    def look_at_the_run(self) -> None:
        """What a worker reads of its own folder."""
        here = folder_of(self.plan.runs[1], self.results)
        for read in (here.attempts, here.failure, here.progress, here.last_lines, here.is_held):
            read()
        self.look()

    def read_order(self) -> None:
        folder_of(self.plan.runs[1], self.results).read_work_order()

    def go_on(self) -> None:
        """From a checkpoint: none, as each of these is damaged or another run's."""
        assert Checkpoints(self.unfinished / "checkpoints", 1).newest("0" * 32) is None

    def is_done(self) -> None:
        is_done(self.finished, self.finished.name)
        self.look()
        self.read()


def read_code(files: Files) -> None:
    snapshot.take(files.home / "code", {"git_commit": "x"})


READERS: dict[str, tuple[Callable[[Files], Path], Callable[[Files], object]]] = {
    "sweep.json": (lambda f: f.home / "sweep.json", Files.read),
    "cancelled.json": (
        lambda f: f.home / "cancelled.json",
        lambda f: CancelMark(f.home, now()).is_set(),
    ),
    "driver.lock": (lambda f: f.home / "driver.lock", Files.look_at_the_driver),
    "records.parquet": (lambda f: f.home / "records.parquet", Files.read_all),
    "record.parquet": (lambda f: f.finished / FILE_NAME, Files.is_done),
    "weights.safetensors": (
        lambda f: f.finished / "weights.safetensors",
        lambda f: load_trained(f.finished),
    ),
    "job.json": (lambda f: f.unfinished / "job.json", Files.look),
    "failure.json": (lambda f: f.unfinished / "failure.json", Files.look_at_the_run),
    "progress.json": (lambda f: f.unfinished / "progress.json", Files.look_at_the_run),
    "attempts.json": (lambda f: f.unfinished / "attempts.json", Files.look_at_the_run),
    "lock": (lambda f: f.unfinished / "lock", Files.look_at_the_run),
    "run.json": (lambda f: f.unfinished / "run.json", Files.read_order),
    "log": (lambda f: f.unfinished / "job" / "1_0_log.err", Files.look_at_the_run),
    "checkpoint": (
        lambda f: next((f.unfinished / "checkpoints").glob("step-*.pt")),
        Files.go_on,
    ),
    "manifest.json": (lambda f: f.corpus / "manifest.json", lambda f: verified(f.corpus)),
    "train.bin": (lambda f: f.corpus / "train.bin", lambda f: verified(f.corpus)),
    "compression.npy": (lambda f: f.corpus / "compression.npy", lambda f: verified(f.corpus)),
    "runs.json": (
        lambda f: f.home / "jobs" / "20260101-000000-abcdef" / "runs.json",
        lambda f: squeue.Squeue().jobs_of(f.home),
    ),
    "code.json": (lambda f: next((f.home / "code").glob("*/code.json")), read_code),
    "cluster.yaml": (lambda f: f.user_file, lambda f: cluster_keys.read_user_file()),
    "smoke.yaml": (lambda f: f.sweeps / "smoke.yaml", lambda f: load_scale("smoke", f.sweeps)),
}
"""By name: where the file lies, and what reads it."""


@pytest.fixture(scope="module")
def files(
    smoke_plan: Plan, smoke_results: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Files]:
    folder = tmp_path_factory.mktemp("fuzz")
    results = Path(shutil.copytree(smoke_results, folder / "results"))
    shutil.rmtree(results / "smoke" / "code")
    truth = {}
    for row in read_runs("smoke", results).reindex(columns=COLUMNS).to_dict(orient="records"):
        truth[row["run_id"]] = row | {"window_losses": list(row["window_losses"])}
    corpus = prepare(smoke_plan.runs[0].spec.corpus, results / "corpora")
    here = folder_of(smoke_plan.runs[1], results)
    here.record.unlink()
    here.write_work_order(work_order(smoke_plan.runs[1], corpus))
    here.start_attempt()
    here.write_progress({"step": 3, "tokens_per_second": 10.0, "seconds": 2.0})
    here.write_failure("node", "it went")
    (here.path / "job").mkdir(exist_ok=True)
    (here.path / "job" / "1_0_log.err").write_text("last words\n")
    Checkpoints(here.checkpoints, 1).save(3, state_of_a_model(), {"run_id": here.run_id})
    home = results / "smoke"
    (home / "cancelled.json").write_text(json.dumps({"at": "2026-01-01T00:00:00+00:00"}))
    array = home / "jobs" / "20260101-000000-abcdef"
    array.mkdir(parents=True)
    (array / "runs.json").write_text(json.dumps([here.run_id]))
    home.joinpath("code").mkdir(mode=0o700, exist_ok=True)
    snapshot.take(home / "code", {"git_commit": "x"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engram_sweep.runs.record_cache.MIN_NEW", 1)
        collect(runs_folder(results, "smoke"), FILE_NAME)
        user = folder / "config" / "engram-sweep" / "cluster.yaml"
        user.parent.mkdir(parents=True)
        user.write_text("partition: gpu\n")
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        sweeps = Path(shutil.copytree(SWEEPS, folder / "sweeps"))
        tag = squeue.comment(home, array.name)
        patch.setattr(squeue, "client", lambda *_: f"1_0 PENDING {tag} None\n")
        yield Files(smoke_plan, results, corpus, here.path, user, sweeps, truth)


MAY_FAIL = {
    UserError: set(READERS),
    # A worker reports its first line as bad data.
    ValueError: {"run.json"},
    # The command line prints these: a pipe, a folder or a link in place of a file.
    OSError: {"driver.lock"},
}
"""Which readers may raise what."""


def check(files: Files, name: str, content: Bytes | Place) -> None:
    """Read something in place of a file; it is taken, passed over, or refused in one line."""
    path, reader = READERS[name][0](files), READERS[name][1]
    with in_place_of(path, content):
        try:
            reader(files)
            return
        except (UserError, ValueError, OSError) as error:
            raised = error
    kind = next(kind for kind in MAY_FAIL if isinstance(raised, kind))
    assert name in MAY_FAIL[kind], repr(raised)
    assert kind is ValueError or len(str(raised).splitlines()) == 1, raised


def try_cases(files: Files, name: str, cases: int) -> None:
    truth = READERS[name][0](files).read_bytes()

    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(contents(truth))
    def any_content(content: Bytes | Place) -> None:
        check(files, name, content)

    any_content()


@pytest.mark.parametrize("name", sorted(READERS))
def test_whatever_stands_in_place_of_a_file(files: Files, name: str) -> None:
    try_cases(files, name, 25)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(READERS))
def test_ten_thousand_cases(files: Files, name: str) -> None:
    try_cases(files, name, 10_000 // len(READERS))
