"""The format of a store's file, as a number that the file carries (SQLite's user_version).

Raise `FORMAT` with every change of the tables that the releases before cannot read, and add the step from the format
before to `STEPS`. Imports nothing heavy: the supervisor looks before it starts anything. It knows nothing of objects.
"""

from __future__ import annotations

from pathlib import Path

FORMAT = 1
STEPS: dict[int, str] = {0: ""}
"""By format: the SQL that makes the next one of it. 0, of releases that wrote no number, has the tables of 1."""

_MAGIC = b"SQLite format 3\0"
_OFFSET = 60
"""Where the header has user_version, four bytes, big end first: https://www.sqlite.org/fileformat.html#user_version_number"""


class OtherFormat(Exception):
    """This release cannot read the store; the message says what to do."""


def check(path: Path | str, found: int) -> None:
    """Raise `OtherFormat` for a format that this release does not know."""
    if not 0 <= found <= FORMAT:
        raise OtherFormat(
            f"{path} has format {found}, and this release reads up to format {FORMAT}: a later release wrote it. "
            "Start it with that release, choose another folder with --state, or remove it with `tidegate down --purge`"
        )


def check_file(path: Path) -> None:
    """Like `check`, by the head of the file: quick, and without opening it as a database. Nothing there is fine."""
    try:
        with path.open("rb") as file:
            head = file.read(_OFFSET + 4)
    except FileNotFoundError:
        return
    if head and not head.startswith(_MAGIC):
        raise not_a_store(path)
    check(path, int.from_bytes(head[_OFFSET:], "big", signed=True))


def not_a_store(path: Path | str) -> OtherFormat:
    """Return what to raise for a file that is no database."""
    return OtherFormat(
        f"{path} is not a store of objects: put the right file there, choose another folder with --state, "
        "or remove this one with `tidegate down --purge`"
    )
