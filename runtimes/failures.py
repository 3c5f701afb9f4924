"""What can go wrong with an inference, as one table: kind to HTTP status and gRPC code (pure).

Every refusal of this server is an `InferenceError` of one of these kinds; nothing else chooses a status. The table is
the field's: unknown 404, not ready 503, queue full 429, too large 413, late 504, bad tensor 400.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class Codes(NamedTuple):
    """How a kind shows on the wire: HTTP status, name of the gRPC code, seconds for `Retry-After` (0: no header)."""

    http: int
    grpc: str
    retry_after_s: int = 0


class Kind(enum.Enum):
    """Why an inference was refused or failed; the value is the `reason` of the error body."""

    BAD_INPUT = "bad_input"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_READY = "not_ready"
    LOAD_FAILED = "load_failed"
    QUEUE_FULL = "queue_full"
    TOO_LARGE = "too_large"
    LATE = "late"
    UNSUPPORTED = "unsupported"
    UNPROCESSABLE = "unprocessable"
    MODEL_FAILED = "model_failed"
    WORKER_ENDED = "worker_ended"
    CANCELLED = "cancelled"


CODES = {
    Kind.BAD_INPUT: Codes(400, "INVALID_ARGUMENT"),
    Kind.NOT_FOUND: Codes(404, "NOT_FOUND"),
    Kind.METHOD_NOT_ALLOWED: Codes(405, "UNIMPLEMENTED"),
    Kind.NOT_READY: Codes(503, "UNAVAILABLE", 1),
    Kind.LOAD_FAILED: Codes(503, "UNAVAILABLE"),
    Kind.QUEUE_FULL: Codes(429, "RESOURCE_EXHAUSTED", 1),
    Kind.TOO_LARGE: Codes(413, "RESOURCE_EXHAUSTED"),
    Kind.LATE: Codes(504, "DEADLINE_EXCEEDED"),
    Kind.UNSUPPORTED: Codes(501, "UNIMPLEMENTED"),
    Kind.UNPROCESSABLE: Codes(422, "INVALID_ARGUMENT"),
    Kind.MODEL_FAILED: Codes(500, "INTERNAL"),
    Kind.WORKER_ENDED: Codes(503, "UNAVAILABLE", 1),
    Kind.CANCELLED: Codes(499, "CANCELLED"),
}


class InferenceError(Exception):
    """A refused or failed inference: `str(error)` is for the client, names the field and the fix."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    @property
    def codes(self) -> Codes:
        """How this error shows on the wire."""
        return CODES[self.kind]


def bad_input(message: str) -> InferenceError:
    """Return a 400 that says what is wrong with the request."""
    return InferenceError(Kind.BAD_INPUT, message)


def not_found(message: str) -> InferenceError:
    """Return a 404."""
    return InferenceError(Kind.NOT_FOUND, message)
