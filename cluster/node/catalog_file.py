"""The image catalog's file, judged whole: by the node when it starts, and by `tidegate up` before anything starts.

`python -m cluster.node.catalog_file FILE` says how many entries a file has, or what is wrong with it and where.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from cluster.node import images


def load(path: str) -> list[images.Pattern]:
    """Return the entries of a catalog file; raises `CatalogError` that names the file, the entry and the field."""
    try:
        return images.parse(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, images.CatalogError) as error:
        raise images.CatalogError(f"{path}: {error}") from error


def main() -> int:
    """Judge the file that is named on the command line; returns 2 when it is not usable."""
    try:
        found = load(sys.argv[1])
    except images.CatalogError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{len(found)} images")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
