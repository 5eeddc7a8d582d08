"""How the answers of squeue are read.

On a real SLURM they are tested in tests/slurm/test_squeue.py.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from engram_sweep.errors import UserError
from engram_sweep.launch.executors import squeue
from engram_sweep.launch.executors.squeue import Squeue
from engram_sweep.launch.jobs import Job, State, now
from tests.faults.users import MALLORY, give_to_mallory


class Clients:
    """SLURM's clients, pretended: what they were asked, and what squeue answers."""

    def __init__(self) -> None:
        self.answer: str | None = ""
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, *words: str) -> str | None:
        self.asked.append(words)
        return self.answer


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Clients:
    pretended = Clients()
    monkeypatch.setattr(squeue, "client", pretended)
    return pretended


def job(number: int | str) -> Job:
    return Job(Path(), "slurm", str(number), now())


@pytest.mark.parametrize(
    ("word", "state", "failure"),
    [
        ("PENDING", "queued", None),
        ("REQUEUE_HOLD", "queued", None),
        ("RUNNING", "running", None),
        ("COMPLETING", "running", None),
        ("A_STATE_OF_NEXT_YEAR", "running", None),
        ("COMPLETED", "ended", None),
        ("FAILED", "ended", None),
        ("NODE_FAIL", "ended", "node"),
        ("OUT_OF_MEMORY", "ended", "out of memory"),
        ("PREEMPTED", "ended", "preempted"),
        ("TIMEOUT", "ended", "timed out"),
        ("CANCELLED", "ended", "cancelled"),
    ],
)
def test_every_state_of_slurm_is_one_of_ours(
    clients: Clients, word: str, state: State, failure: str | None
) -> None:
    asked = job("17_3")
    clients.answer = f"17_3 {word} (null) None\n18 RUNNING (null) None\n"
    queue = Squeue()
    assert queue.states([asked]) == [state]
    assert queue.failure_of(asked) == failure


def test_one_answer_serves_all_jobs_for_a_second(clients: Clients) -> None:
    some = [job(number) for number in range(1000)]
    clients.answer = "\n".join(f"{number} RUNNING (null) None" for number in range(0, 1000, 2))
    queue = Squeue()
    assert queue.states(some) == ["running", "unknown"] * 500
    assert queue.states(some[:1]) == ["running"]
    assert len(clients.asked) == 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    time = [0.0]
    monkeypatch.setattr(squeue.time, "monotonic", lambda: time[0])
    return time


def test_s2_a_job_that_one_answer_lacks_has_not_ended(clients: Clients, clock: list[float]) -> None:
    queue, asked = Squeue(), job(17)
    for answer, state in (("", "unknown"), ("17 PENDING x None", "queued"), ("", "unknown")):
        clients.answer = answer
        assert queue.states([asked]) == [state]
        clock[0] += squeue.CONFIRM_SECONDS
    assert queue.states([asked]) == ["ended"], "the second answer in a row, some seconds later"


def test_s2_squeue_is_asked_about_the_uid(
    clients: Clients, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """LOGNAME and USER may be another user's: su, sudo -E, containers."""
    monkeypatch.setenv("LOGNAME", "daemon")
    monkeypatch.setenv("USER", "daemon")
    Squeue().states([job(1)])
    assert f"--user={os.geteuid()}" in clients.asked[0]
    folder = tmp_path / "theirs"
    folder.mkdir()
    give_to_mallory(folder)
    Squeue().states([Job(folder, "slurm", "1", now())])
    assert f"--user={os.geteuid()},{MALLORY}" in clients.asked[1], "a colleague looks"


@pytest.mark.parametrize("noise", ["", "\n", "Welcome\n", "two words\n", "\ufffd\n", "17\n", " \n"])
def test_s6_lines_that_are_no_answer_are_passed_over(clients: Clients, noise: str) -> None:
    clients.answer = noise + "17 RUNNING engram-sweep:x None" + "\n" + noise
    assert Squeue().states([job(17)]) == ["running"]


def test_s7_why_a_job_waits(clients: Clients) -> None:
    clients.answer = (
        "1 PENDING c PartitionTimeLimit\n2 PENDING c Priority\n3 RUNNING c None\n"
        "4 PENDING c (ReqNodeNotAvail, UnavailableNodes:a\x1b[1m)\n"
    )
    queue, jobs = Squeue(), [job(number) for number in range(1, 6)]
    queue.states(jobs)
    assert [queue.reason_of(each) for each in jobs] == [
        "PartitionTimeLimit", "Priority (others come first)", None,
        "(ReqNodeNotAvail, UnavailableNodes:a\\x1b[1m)", None,
    ]  # fmt: skip


def test_s4_jobs_are_found_by_their_tag(clients: Clients, tmp_path: Path) -> None:
    """Those of this sweep that have not ended, by the array's list of runs."""
    home, names = tmp_path / "tiny", ["a" * 32, "b" * 32]
    array = home / "jobs" / "20260101-000000-abc"
    array.mkdir(parents=True)
    mine = squeue.comment(home, array.name)
    other = squeue.comment(tmp_path / "other", array.name)
    clients.answer = (
        f"7_0 PENDING {mine} None\n7_1 RUNNING {mine} None\n7_2 PENDING {mine} None\n"
        f"8_0 PENDING {other} None\n9_0 COMPLETED {mine} None\n10_0 PENDING (null) None\n"
    )
    assert Squeue().jobs_of(home) == [], "whose list of runs is gone"
    for text in ("{", "3", '["../x", 3]', json.dumps(names)):
        (array / "runs.json").write_text(text)
        found = Squeue().jobs_of(home)
    assert [(each.id, each.folder) for each in found] == [
        ("7_0", home / "runs" / names[0]), ("7_1", home / "runs" / names[1]),
    ]  # fmt: skip
    assert Squeue().jobs_of(home, "another-array") == []
    assert Squeue().jobs_of(tmp_path / "never launched") == []


def test_l6_a_note_from_the_future_does_not_keep_a_job_alive(
    clients: Clients, clock: list[float]
) -> None:
    late = Job(Path(), "slurm", "17", "2999-01-01T00:00:00+00:00")
    queue = Squeue()
    assert queue.states([late]) == ["unknown"]
    clock[0] += squeue.CONFIRM_SECONDS
    assert queue.states([late]) == ["ended"]


def test_no_answer_ends_no_job(clients: Clients) -> None:
    clients.answer = None
    assert Squeue().states([job(1)]) == ["unknown"]


def test_no_answer_for_an_hour_is_an_error(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(squeue.time, "monotonic", lambda: clock[0])
    clients.answer = None
    queue = Squeue()
    clock[0] = squeue.TIMEOUT_SECONDS - 1
    assert queue.states([job(1)]) == ["unknown"]
    clock[0] += 2 + squeue.MAX_POLL_SECONDS
    with pytest.raises(UserError, match="SLURM has not answered for 60 minutes"):
        queue.states([job(1)])


def test_many_jobs_are_cancelled_in_lines_of_bounded_length(clients: Clients) -> None:
    Squeue().cancel([job(number) for number in range(1200)], force=True)
    ids = [[word for word in words if word.isdigit()] for words in clients.asked]
    assert [len(some) for some in ids] == [500, 500, 500, 500, 200, 200]
    assert sum("--signal=KILL" in words for words in clients.asked) == 3
    assert {int(one) for some in ids for one in some} == set(range(1200))


@pytest.mark.parametrize("number", ["--user=root", "17,18", "17 18", "17_[1-9]", "", "17\n", "١٧"])
def test_an_id_that_is_none_never_reaches_a_client(clients: Clients, number: str) -> None:
    """A note in a run folder is no command line: `scancel --user=...` stops the jobs of others."""
    queue = Squeue()
    queue.cancel([job(number), job(5)], force=True)
    assert all(words[-1] == "5" for words in clients.asked)
    assert all(number not in words for words in clients.asked)
    assert queue.states([job(number)]) == ["ended"]
