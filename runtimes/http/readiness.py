"""Answers to those who ask whether the server or a model is ready: they also tell how this process started.

queueproxy reads that from its readiness probe and takes it out of everything that clients see.
"""

from __future__ import annotations

from runtimes.http import messages
from runtimes.http.messages import Reply
from tidegate.contracts import wake
from tidegate.contracts.headers import START
from tidegate.process import start_clock


def reply(document: object, *, is_ready: bool, refusal: int = 503) -> Reply:
    """Return the document with 200, or with `refusal` when it says that something is not ready."""
    answer = messages.json_reply(document, 200 if is_ready else refusal)
    start = start_clock.this().told()
    if start is not None:
        answer.headers += b"%b: %b\r\n" % (START.title(), wake.encode_start(start).encode("ascii"))
    return answer
