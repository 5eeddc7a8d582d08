from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram_sweep.launch.executors import slurm
from engram_sweep.launch.executors.protocol import Refused
from engram_sweep.launch.executors.slurm import SlurmExecutor, SlurmScheduler, chunks
from engram_sweep.launch.executors.slurm_script import request_of
from tests.examples import scale


@given(st.integers(1, 40), st.integers(1, 40))
def test_chunks_hold_every_folder_once_and_in_order(count: int, size: int) -> None:
    folders = [Path(str(number)) for number in range(count)]
    found = chunks(folders, size)
    assert [folder for chunk in found for folder in chunk] == folders
    assert all(len(chunk) == size for chunk in found[:-1])
    assert 1 <= len(found[-1]) <= size


@pytest.mark.usefixtures("without_slurm")
def test_without_clients_the_line_says_what_would_work() -> None:
    missing = SlurmScheduler().what_is_missing(scale())
    assert missing is not None
    assert "no SLURM (" in missing
    assert "DRY_RUN=1 make sweep SCALE=example" in missing


@pytest.mark.usefixtures("without_slurm")
def test_a_refused_submission_leaves_no_links_into_run_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(script: Path) -> str:
        assert "#SBATCH" in script.read_text()
        raise Refused("no such partition")

    class Nothing:
        answering = True

        def __getattr__(self, name: str):
            return lambda *words, **options: []

    monkeypatch.setattr(slurm, "sbatch", refuse)
    monkeypatch.setattr(slurm, "max_array_size", lambda: 100)
    monkeypatch.setattr(slurm, "QUEUE", Nothing())
    monkeypatch.setattr(slurm, "LOOKS_FOR_ORPHANS", 1)
    monkeypatch.setattr(slurm.time, "sleep", lambda seconds: None)
    example = scale()
    resources = SlurmScheduler().resources(example)
    code = tmp_path / "example" / "code" / "snapshot"
    executor = SlurmExecutor(request_of(example, resources, code), tmp_path / "example" / "jobs")
    folders = [tmp_path / "example" / "runs" / (name * 32) for name in "ab"]
    for folder in folders:
        folder.mkdir(parents=True)
    with pytest.raises(Refused, match="no such partition"):
        executor.submit(folders)
    assert [path for folder in folders for path in folder.glob("job/*")] == []
    assert list((tmp_path / "example" / "jobs").iterdir()) == []
