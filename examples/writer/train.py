"""Count the words of a text and write the folder `writer`: `python -m examples.writer.train --out build/models`.

The text is this repository's LICENSE, which changes as little as what is written from it; `--text FILE` takes another.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from examples.writer.model import COUNTS, Counts, counted

LICENSE = Path(__file__).parents[2] / "LICENSE"


def write(out: Path, counts: Counts) -> Path:
    """Write the model folder; returns it."""
    folder = out / "writer"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / COUNTS).write_text(json.dumps(counts))
    settings = {"implementation": "examples.writer.model.Writer"}
    (folder / "model-settings.json").write_text(json.dumps(settings, indent=1) + "\n")
    return folder


def main() -> None:
    """Count, write, say where."""
    parser = argparse.ArgumentParser(description="Train the writer.")
    parser.add_argument("--out", type=Path, default=Path("build/models"))
    parser.add_argument("--text", type=Path, default=LICENSE)
    arguments = parser.parse_args()
    print(write(arguments.out, counted(arguments.text.read_text())))


if __name__ == "__main__":
    main()
