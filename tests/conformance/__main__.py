"""`make conformance`: start a cluster, run the tests several at a time, write docs/conformance.md; 1 on a failure."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from loadtest.figures import ROOT
from loadtest.instance import UP_TIMEOUT_S, Instance, free_port
from tests.conformance import page
from tests.conformance.cluster import RESULTS, STATE, start

AT_ONCE = "4"
"""Tests mostly wait; more of them at a time would measure the two cores and not the behaviour."""


def main() -> int:
    """Run everything, or what pytest's arguments choose (the page is then left alone)."""
    chosen = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        instance = Instance(Path(folder) / "state", free_port())
        results = Path(folder) / "results"
        results.mkdir()
        try:
            start(instance)
            environment = os.environ | {STATE: f"{instance.state}:{instance.port}", RESULTS: str(results)}
            command = [sys.executable, "-m", "pytest", "-q", "-n", AT_ONCE, "--dist", "worksteal", "tests/conformance"]
            begin = time.monotonic()
            code = subprocess.run([*command, *chosen], cwd=ROOT, env=environment, check=False).returncode
            seconds = time.monotonic() - begin
        finally:
            instance.tidegate("down", timeout_s=UP_TIMEOUT_S)
        if not chosen:
            (ROOT / "docs" / "conformance.md").write_text(page.render(page.read(results), seconds))
            print("docs/conformance.md written")
    return code


if __name__ == "__main__":
    sys.exit(main())
