"""The annotation by which a revision asks that one client's requests go to one pod: `cookie` or `header:NAME`."""

from __future__ import annotations

import re

ANNOTATION = "tidegate.dev/session-affinity"
COOKIE = "cookie"

_HEADER = re.compile(r"header:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)")


def parse(text: str) -> str:
    """Return the header's name in lower case, or `COOKIE` for a cookie of ours. Raises ValueError for other texts.

    A header called `cookie` is refused: it changes with every cookie of the app.
    """
    if text == COOKIE:
        return COOKIE
    match = _HEADER.fullmatch(text)
    if match is None or match[1].lower() == COOKIE:
        raise ValueError(f"{text!r} is neither {COOKIE} nor header:NAME")
    return match[1].lower()
