"""`python -m tests.chaos --faults 200`: the exit code is 1 if any table differs."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import tests.chaos
from tests.chaos.campaign import campaign

parser = argparse.ArgumentParser(description=tests.chaos.__doc__)
parser.add_argument("--faults", type=int, default=200)
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()
with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
    found = campaign(options.faults, options.seed, Path(folder))
print(json.dumps(asdict(found), indent=1))
sys.exit(1 if found.differ else 0)
