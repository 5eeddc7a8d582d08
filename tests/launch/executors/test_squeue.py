"""How the answers of squeue are read.

On a real SLURM they are tested in tests/slurm/test_squeue.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from engram_sweep.errors import UserError
from engram_sweep.launch.executors import squeue
from engram_sweep.launch.executors.squeue import Squeue
from engram_sweep.launch.jobs import Job, State, now


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
    clients.answer = f"17_3 {word}\n18 RUNNING\n"
    queue = Squeue()
    assert queue.states([asked]) == [state]
    assert queue.failure_of(asked) == failure


def test_one_answer_serves_all_jobs_for_a_second(clients: Clients) -> None:
    some = [job(number) for number in range(1000)]
    clients.answer = "\n".join(f"{number} RUNNING" for number in range(0, 1000, 2))
    queue = Squeue()
    assert queue.states(some) == ["running", "ended"] * 500
    assert queue.states(some[:1]) == ["running"]
    assert len(clients.asked) == 1


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


def test_a_client_that_hangs_fails_or_is_not_there_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(squeue, "CLIENT_SECONDS", 0.1)
    assert squeue.client("sleep", "5") is None
    assert squeue.client("false") is None
    assert squeue.client("no-such-client") is None
    assert squeue.client("echo", "17 RUNNING") == "17 RUNNING\n"


@pytest.mark.parametrize("number", ["--user=root", "17,18", "17 18", "17_[1-9]", "", "17\n", "١٧"])
def test_an_id_that_is_none_never_reaches_a_client(clients: Clients, number: str) -> None:
    """A note in a run folder is no command line: `scancel --user=...` stops the jobs of others."""
    queue = Squeue()
    queue.cancel([job(number), job(5)], force=True)
    assert all(words[-1] == "5" for words in clients.asked)
    assert all(number not in words for words in clients.asked)
    assert queue.states([job(number)]) == ["ended"]
