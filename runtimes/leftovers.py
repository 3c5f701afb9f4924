"""Folders and shared memory that carry their process's number: what the killed leave behind is swept by the next one.

Names are `<prefix><pid>-...`. Nothing else in a folder is touched, and nothing of a process that lives.
"""

from __future__ import annotations

import shutil
from pathlib import Path


def sweep(folder: Path, prefix: str) -> list[str]:
    """Remove what dead processes left in `folder` under names with this prefix; returns the paths removed."""
    removed = []
    for left in folder.glob(f"{prefix}*-*"):
        pid = left.name.removeprefix(prefix).partition("-")[0]
        if not pid.isdigit() or Path(f"/proc/{pid}").exists():
            continue
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
        removed.append(str(left))
    return removed
