"""A clock for the engine that a test moves on: timers of minutes pass in a moment, whatever the machine is busy with.

Only what reads `time.monotonic` in the engine and in what makes its directors sees it; event loops have their own.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

ENGINE = "tidegate.wire."
MAKERS = ("activator.__main__", "gateway.__main__", "queueproxy.__main__")


class EngineClock:
    """The machine's clock, and what has been let pass on top of it. It never goes back."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self._readers = [module for name, module in sys.modules.items() if name in MAKERS or name.startswith(ENGINE)]

    def monotonic(self) -> float:
        """Return seconds, as `time.monotonic` does."""
        return time.monotonic() + self.passed_s

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    @contextlib.contextmanager
    def ruling(self) -> Iterator[None]:
        """Let the engine read this clock; whatever else runs in this process afterwards has the machine's again."""
        readers = [module for module in self._readers if getattr(module, "time", None) is time]
        for module in readers:
            module.time = self
        try:
            yield
        finally:
            for module in readers:
                module.time = time
