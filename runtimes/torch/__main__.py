"""`python -m runtimes.torch --model-dir DIR` (or --model-repository DIR): serve models of this kind."""

from __future__ import annotations

from runtimes.frame import main

if __name__ == "__main__":
    main("runtimes.torch", "torch")
