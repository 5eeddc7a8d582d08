from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT

CODE = """
import sys

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == "engram_sweep.cli.main":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
from engram_sweep.cli.entry import main
sys.exit(main())
"""


def test_ctrl_c_while_modules_are_imported_is_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "\nstopped before it began\n")
