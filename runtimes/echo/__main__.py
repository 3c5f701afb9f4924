"""`python -m runtimes.echo`: serve a model that answers its inputs."""

from __future__ import annotations

from runtimes.echo.runtime import Echo
from runtimes.frame import main

if __name__ == "__main__":
    main("runtimes.echo", target=Echo())
