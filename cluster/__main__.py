"""`python -m cluster`: Kubernetes on one machine. Supervises the API server and the process node until SIGTERM."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cluster import instance, supervise


def main() -> int:
    """Parse the flags and run; returns the exit code."""
    flags = _parser().parse_args()
    state = Path(flags.state).expanduser().absolute()
    if not 0 <= flags.api_port <= 65535:
        print("error: --api-port must be between 0 and 65535", file=sys.stderr)
        return 2
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    images = str(Path(flags.images).absolute()) if flags.images else ""
    try:
        supervisor = supervise.Supervisor(state, flags.api_port, images, flags.strict)
    except instance.StartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    supervisor.run()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cluster", description="Run Kubernetes on one machine.")
    parser.add_argument("--state", default="~/.tidegate", help="folder for everything the instance keeps")
    parser.add_argument(
        "--api-port", type=int, default=0, help="port of the API server; 0 takes a free one and keeps it"
    )
    parser.add_argument("--images", default="", help="image catalog of the process node, a YAML file")
    parser.add_argument("--strict", action="store_true", help="an API server that is hard on its clients, for tests")
    parser.add_argument("--foreground", action="store_true", help="accepted for clarity; it always stays in front")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
