"""`engram-sweep doctor`: what this machine has of what a sweep needs."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from engram_sweep.cli.options import add_command, scale_of


def register(commands) -> None:
    """Add `doctor` to the command line."""
    summary = "what this machine has of what a sweep needs, and what to do"
    command = add_command(commands, "doctor", summary, _doctor, scale_is_optional=True)
    command.add_argument(
        "--corpus", type=Path, metavar="FOLDER", help="your token shards, for scales that need them"
    )
    command.add_argument("--json", action="store_true", help="one JSON object")


def _doctor(options: argparse.Namespace) -> int:
    from engram_sweep.launch.doctor import examine

    scale = scale_of(options) if options.scale else None
    checks = examine(options.results, scale, options.corpus)
    if options.json:
        print(json.dumps({"checks": [asdict(check) for check in checks]}))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            print(f"{check.state:<8}{check.name:<{width}}  {check.found}")
            if check.advice:
                print(f"{'':<{8 + width}}  -> {check.advice}")
    return int(any(check.state == "missing" for check in checks))
