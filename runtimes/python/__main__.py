"""`python -m runtimes.python module:Class [flags]`: serve a plain Python class by its import path."""

from __future__ import annotations

import sys
from pathlib import Path

from runtimes.frame import main

if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.path.insert(0, str(Path.cwd()))
    if arguments and ":" in arguments[0] and not arguments[0].startswith("-"):
        arguments.insert(0, "--model-class")
    main("runtimes.python", "python", argv=arguments)
