"""A model that yields its first token and then waits until a file exists: only who got the first sees the others."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

WAIT_LIMIT_S = 60.0


class GatedWriter:
    """Parameter `gate`: the path of the file to wait for."""

    def generate(self, text: str, parameters: Mapping[str, Any]) -> Iterator[str]:
        """Yield `first`, wait for the gate, yield `second` and `last`; raises TimeoutError when it stays shut."""
        yield "first"
        deadline = time.monotonic() + WAIT_LIMIT_S
        while not Path(parameters["gate"]).exists():
            if time.monotonic() > deadline:
                raise TimeoutError("nobody opened the gate: the first token did not arrive")
            time.sleep(0.005)
        yield "second"
        yield "last"
