"""What the script `engram-sweep` calls: Ctrl-C is one line also while modules are imported."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command of this process's words and return its exit code."""
    try:
        from engram_sweep.cli.main import main as run
    except KeyboardInterrupt:
        print("\nstopped before it began", file=sys.stderr)
        return 130
    return run()
