"""Kinds of failure: one definition for exceptions, files and the YAML of retries."""

from __future__ import annotations

import errno
import json

import pytest

from engram_sweep.config.launch import Retries
from engram_sweep.runs.failures import FailureKind, kind_of, lost_peer, tries_allowed


class OutOfMemoryError(RuntimeError):
    """torch's own, by its name."""


class DistBackendError(RuntimeError):
    """torch's own, by its name."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "out of memory"),
        (OutOfMemoryError(), "out of memory"),
        (OSError(errno.ENOMEM, "no memory"), "out of memory"),
        (OSError(errno.ENOSPC, "disk full"), "node"),
        (ValueError("shards"), "bad data"),
        (RuntimeError("what"), "bug"),
        (RuntimeError("[pair.cc:547] Connection closed by peer [127.0.0.1]:9"), "node"),
        (RuntimeError("[gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting"), "node"),
        (RuntimeError("Application timeout caused pair closure"), "node"),
        (DistBackendError("NCCL error"), "node"),
    ],
)
def test_an_exception_has_a_kind(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind


@pytest.mark.parametrize(
    ("error", "peer"),
    [
        (RuntimeError("[pair.cc:547] Connection closed by peer"), "is gone"),
        (RuntimeError("[unbound_buffer.cc:78] gloo: Timed out waiting 9ms"), "did not answer"),
        (RuntimeError("Application timeout caused pair closure"), "did not answer"),
        (DistBackendError("Watchdog caught collective operation timeout"), "did not answer"),
        (DistBackendError("NCCL error"), "is gone"),
    ],
)
def test_a_process_that_is_gone_is_told_from_one_that_hangs(error: Exception, peer: str) -> None:
    found = lost_peer(error)
    assert found is not None
    assert found.startswith(f"another process of the run {peer}")


@pytest.mark.parametrize("error", [RuntimeError("what"), ValueError("gloo"), OSError("NCCL")])
def test_other_failures_blame_no_other_process(error: Exception) -> None:
    assert lost_peer(error) is None


def test_files_hold_a_kind_as_a_plain_string() -> None:
    assert json.dumps({"kind": FailureKind.TIMED_OUT}) == '{"kind": "timed out"}'


def test_every_key_of_retries_is_a_kind_and_cancelled_is_never_tried_again() -> None:
    keys = {kind.yaml_key for kind in FailureKind}
    assert keys - set(Retries.model_fields) == {"cancelled"}
    assert set(Retries.model_fields) <= keys


def test_how_often_a_run_starts_again() -> None:
    retries = Retries(out_of_memory=4).model_dump()
    assert tries_allowed(retries, "out of memory") == 4
    assert tries_allowed(retries, "cancelled") == 0
    assert tries_allowed(retries, "of another version") == 0
