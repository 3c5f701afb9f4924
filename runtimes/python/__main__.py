"""`python -m runtimes.python module:Class [flags]`: serve a plain Python class by its import path."""

from __future__ import annotations

import sys
from pathlib import Path

from runtimes.frame import main
from runtimes.python.runtime import ImportFailed, import_class

if __name__ == "__main__":
    arguments = sys.argv[1:]
    target = None
    if arguments and ":" in arguments[0] and not arguments[0].startswith("-"):
        sys.path.insert(0, str(Path.cwd()))
        try:
            target = import_class(arguments.pop(0))()
        except ImportFailed as error:
            raise SystemExit(f"error: {error}") from None
    main("runtimes.python", "python", target, arguments)
