"""The in-flight report: what queueproxy and activator push to the autoscaler over one long-lived connection.

A frame is a 4-byte big-endian length and a msgpack body of that many bytes; an empty frame is a heartbeat. The first
frame of a connection is `Hello`. Reports carry durations and averages, never timestamps: monotonic clocks of two
processes do not compare, so the autoscaler stamps arrival itself. The autoscaler answers with `Owners`, which of its
replicas decides for which revisions, and an activator that asked for a pod with `Scaled`. A `Wake` is what a cold start
consisted of, once it is over. Neither of these two is sent to a peer that does not say that it knows them: a release
may meet the one before it, which ends a connection that says what it cannot read.

A report token ties a connection to one revision: HMAC-SHA256 of `<namespace>/<revision>` under the cluster's report
key, so that a pod can speak for its own revision and for no other. The activator speaks for all (`*`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec

from tidegate.contracts import names
from tidegate.contracts.wake import Wake

FRAME_LIMIT_BYTES = 1 << 20
ANSWER_LIMIT_BYTES = 64 << 10
"""The largest frame that an autoscaler sends."""
HEARTBEAT_S = 10.0
REPORT_INTERVAL_S = 1.0
HISTORY_S = 120
"""Seconds of its own load that a source remembers, and tells an autoscaler that it has just found."""
ANY_REVISION = "*"
VERSION = 1
"""What we can read: 0 is everything but `Scaled` and `Wake`, which 1 has as well."""
WAKES_SINCE = 1


class Hello(msgspec.Struct, tag="hello", array_like=True, frozen=True):
    """The first frame: who speaks (`source` is `queueproxy` or `activator`, `pod` its name) and for which revision.

    `session` is drawn at random for each connection: a pod's newest session replaces the one before, and a session that
    has ended never speaks again. `version`: what the speaker can read.
    """

    source: str
    pod: str
    namespace: str
    revision: str
    token: str
    session: str = ""
    version: int = 0


class Report(msgspec.Struct, tag="report", array_like=True, frozen=True):
    """What one process saw of one revision during the last `interval_s` seconds.

    `concurrency` and `proxied_concurrency` are time-weighted means over the interval (requests); `requests` and
    `proxied_requests` are arrivals in it. Proxied ones came through an activator, which reports them itself.
    `sequence` grows by one per report of a connection. `is_first` marks the report an activator sends at once for a
    revision that had no waiter: the autoscaler then decides without waiting for its tick; it covers no time
    (`interval_s` 0), so its `in_flight` stands in until the next report. `session_s`: seconds since the Hello by the
    sender's clock, from which the autoscaler tells a report that was held up on the way (0: not told).
    """

    namespace: str
    revision: str
    sequence: int
    interval_s: float
    concurrency: float
    proxied_concurrency: float = 0.0
    requests: int = 0
    proxied_requests: int = 0
    in_flight: int = 0
    is_first: bool = False
    session_s: float = 0.0


class Reports(msgspec.Struct, tag="reports", array_like=True, frozen=True):
    """Several reports in one frame (an activator has one per revision it holds requests for)."""

    reports: list[Report]


class History(msgspec.Struct, tag="history", array_like=True, frozen=True):
    """What a source saw of one revision in the seconds before it connected, one mean per second, the newest last.

    Proxied requests are left out, as in the windows. At most `HISTORY_S` seconds.
    """

    namespace: str
    revision: str
    concurrency: list[float]
    rps: list[float]


class Owners(msgspec.Struct, tag="owners", array_like=True, frozen=True):
    """Which replica decides for which bucket of revisions (`buckets.bucket_of`).

    `addresses` are `host:port` of report ports; `of_bucket` has an index into them per bucket, -1 for nobody yet.
    `version`: what the speaker can read.
    """

    addresses: list[str]
    of_bucket: list[int]
    version: int = 0


class Scaled(msgspec.Struct, tag="scaled", array_like=True, frozen=True):
    """The API server has taken a scale above zero for a revision that the hearer said somebody waits for."""

    namespace: str
    revision: str


Message = Hello | Report | Reports | History | Wake
Said = Owners | Scaled

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_answer_decoder: msgspec.msgpack.Decoder[Said] = msgspec.msgpack.Decoder(Said)


def encode(message: Message | Said) -> bytes:
    """Return the whole frame, length prefix included."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


HEARTBEAT = (0).to_bytes(4, "big")


def decode(body: bytes) -> Message:
    """Return the message in a frame's body; raises `msgspec.DecodeError` or `msgspec.ValidationError`."""
    return _decoder.decode(body)


def decode_answer(body: bytes) -> Said:
    """Return what an autoscaler said in a frame's body; raises like `decode`."""
    return _answer_decoder.decode(body)


def token(key: bytes, namespace: str, revision: str) -> str:
    """Return the token that lets its holder report for one revision (`revision` may be `ANY_REVISION`)."""
    subject = ANY_REVISION if revision == ANY_REVISION else f"{namespace}/{revision}"
    return hmac.new(key, subject.encode(), hashlib.sha256).hexdigest()


def is_token_valid(key: bytes, hello: Hello) -> bool:
    """Return whether the Hello's token was made for what it says, in constant time."""
    expected = token(key, hello.namespace, hello.revision)
    return hmac.compare_digest(expected.encode(), hello.token.encode("utf-8", "surrogateescape"))


def key_of_secret(secret: dict[str, Any]) -> bytes:
    """Return the report key in the Secret `report-key` (its field holds 32 bytes in hexadecimal); raises ValueError."""
    try:
        text = base64.b64decode(secret["data"][names.REPORT_KEY_FIELD], validate=True)
        key = bytes.fromhex(text.decode("ascii").strip())
    except (KeyError, TypeError, binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(f"Secret {names.REPORT_KEY_SECRET} holds no usable key") from error
    if len(key) < 16:
        raise ValueError(f"the key in Secret {names.REPORT_KEY_SECRET} is shorter than 16 bytes")
    return key
