"""What a cluster is asked for: two files, strict, merged key by key."""

from __future__ import annotations

from pathlib import Path

import pytest

from engram_sweep.config.scale import load_scale
from engram_sweep.config.slurm import Shape, Slurm, merged, read_user_file, shape, user_file
from engram_sweep.errors import UserError
from tests.examples import write_scale


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's file goes."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = user_file()
    path.parent.mkdir()
    return path


def test_without_a_file_nothing_is_asked_for(user: Path) -> None:
    assert read_user_file() == Slurm()
    assert user.parent.name == "engram-sweep"


def test_an_empty_variable_is_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    assert user_file() == Path.home() / ".config" / "engram-sweep" / "cluster.yaml"


def test_the_scale_wins_key_by_key(user: Path) -> None:
    user.write_text(
        "partition: gpu\naccount: lab\nsetup: [module load cuda, source venv/bin/activate]\n"
    )
    scale = Slurm(partition="low", setup=("module load other",))
    found = merged(scale, read_user_file())
    assert (found.partition, found.account, found.setup) == ("low", "lab", ("module load other",))
    assert merged(Slurm(), read_user_file()).setup == (
        "module load cuda",
        "source venv/bin/activate",
    )
    assert merged(Slurm(setup=()), read_user_file()).setup == (), (
        "nothing, when the scale says nothing"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("partitions: gpu", "unknown key, did you mean partition?"),
        ("nodes: two", "nodes: expected an integer, got 'two'"),
        ("nodes: 0", "nodes: "),
        ("- gpu", "expected a mapping of keys"),
        ("setup: module load cuda", "setup: "),
        ('setup: ["export A=1\\nrm -r x"]', "setup"),
        ("sbatch: [exclusive]", "sbatch: expected --option or --option=value, got 'exclusive'"),
        (
            "sbatch: [--array=0-9]",
            "sbatch: expected an option that engram-sweep does not set itself",
        ),
        (
            "sbatch: [--signal=TERM@5]",
            "sbatch: expected an option that engram-sweep does not set itself",
        ),
        ("gpu_type: h100:8", "gpu_type: "),
        ("partition: a: b", "not valid YAML"),
    ],
)
def test_a_wrong_user_file_is_one_line(user: Path, text: str, says: str) -> None:
    user.write_text(text)
    with pytest.raises(UserError) as error:
        read_user_file()
    assert str(user) in str(error.value)
    assert says in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_wrong_key_of_a_scale_is_told_with_its_section(tmp_path: Path) -> None:
    write_scale(tmp_path, launch__slurm={"partitoin": "gpu"})
    with pytest.raises(
        UserError,
        match=r"example\.yaml: launch\.slurm\.partitoin: unknown key, did you mean partition",
    ):
        load_scale("example", tmp_path)


def test_options_become_what_sbatch_takes() -> None:
    options = Slurm(sbatch=("--exclusive", "--reservation=nights and days")).options()
    assert options == {"exclusive": True, "reservation": "nights and days"}


@pytest.mark.parametrize(
    ("keys", "gpus", "found"),
    [
        ({}, 0, Shape(1, 1, 0)),
        ({"nodes": 2, "processes_per_node": 3}, 0, Shape(2, 3, 0)),
        ({}, 1, Shape(1, 1, 1)),
        ({}, 8, Shape(1, 8, 8)),
        ({}, 32, Shape(4, 8, 8)),
        ({}, 12, Shape(2, 6, 6)),
        ({"gpus_per_node": 4}, 32, Shape(8, 4, 4)),
        ({"nodes": 2}, 8, Shape(2, 4, 4)),
    ],
)
def test_nodes_hold_the_gpus_of_a_run(keys: dict, gpus: int, found: Shape) -> None:
    assert shape(Slurm(**keys), gpus, batch_windows=96) == found
    assert found.nodes * found.gpus_per_node == gpus
    assert found.processes == found.nodes * found.devices


@pytest.mark.parametrize(
    ("keys", "gpus", "windows", "says"),
    [
        (
            {"gpus_per_node": 4},
            10,
            10,
            r"slurm\.gpus_per_node: expected whole nodes .* the 10 GPUs .*, got 4",
        ),
        ({"nodes": 3}, 8, 8, r"slurm\.nodes: expected whole nodes .* the 8 GPUs .*, got 3"),
        (
            {"nodes": 3},
            0,
            8,
            r"slurm\.processes_per_node: expected .* \(3 x 1\) to divide .* \(8\)",
        ),
    ],
)
def test_what_does_not_divide_is_one_line(keys: dict, gpus: int, windows: int, says: str) -> None:
    with pytest.raises(UserError, match=says):
        shape(Slurm(**keys), gpus, windows)
