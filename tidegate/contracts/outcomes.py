"""The closed list of reasons for which Tidegate answers a request itself, and the HTTP status of each.

Overload is 503, lateness 504, a broken upstream 502; `Retry-After` goes with the ones that pass by themselves. The
code appears in the `X-Tidegate-Reason` header, in metrics and in logs. Nothing outside this module maps a failure to
a status.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One outcome: its code, HTTP status, the sentence for people, and seconds for `Retry-After` (0: no such header).

    `is_routine`: said to probes again and again, and logged at debug only.
    """

    code: str
    status: int
    text: str
    retry_after_s: int = 0
    is_routine: bool = False


REDIRECTED = Reason("redirected", 301, "this host is served by https")
BAD_REQUEST = Reason("bad_request", 400, "the request is not valid HTTP")
BAD_PROBE = Reason("bad_probe", 400, "unexpected probe header value")
NO_ROUTE = Reason("no_route", 404, "no route for this host")
UNKNOWN_REVISION = Reason("unknown_revision", 404, "this revision does not exist")
URI_TOO_LONG = Reason("uri_too_long", 414, "the request target is too long")
EXPECTATION_FAILED = Reason("expectation_failed", 417, "only 100-continue can be expected")
HEAD_TOO_LARGE = Reason("head_too_large", 431, "the request head is too large")
UPGRADE_REFUSED = Reason("upgrade_refused", 501, "this upgrade or transfer coding is not supported")
UPSTREAM_CONNECT_FAILED = Reason("upstream_connect_failed", 502, "no pod accepted the connection", 1)
UPSTREAM_CERTIFICATE_REFUSED = Reason(
    "upstream_certificate_refused", 502, "the certificate of the pod is not trusted, or not for its name", 1
)
UPSTREAM_FAILED = Reason("upstream_failed", 502, "the pod broke the connection before it answered")
QUEUE_FULL = Reason("queue_full", 503, "pending request queue full", 1)
WAITING_ROOM_FULL = Reason("waiting_room_full", 503, "too many requests wait for this revision", 1)
ASLEEP = Reason("asleep", 503, "no pod is ready, and a probe wakes none", 0, True)
NO_ACTIVATOR = Reason("no_activator", 503, "no activator is ready to hold the request", 1)
DRAINING = Reason("draining", 503, "this process is shutting down", 1)
NOT_READY = Reason("not_ready", 503, "the app is not ready", 1, True)
REQUEST_TIMEOUT = Reason("request_timeout", 504, "request timeout")
RESPONSE_START_TIMEOUT = Reason("response_start_timeout", 504, "request timeout")
IDLE_TIMEOUT = Reason("idle_timeout", 504, "request timeout")
ACTIVATION_TIMEOUT = Reason("activation_timeout", 504, "activator request timeout", 1)
HEAD_TIMEOUT = Reason("head_timeout", 408, "the request head took too long")
BODY_TIMEOUT = Reason("body_timeout", 408, "the request body took too long")
TOO_MANY_CONNECTIONS = Reason("too_many_connections", 503, "too many connections", 1)
INTERNAL_ERROR = Reason("internal_error", 500, "an internal error; the log has it")

ALL: dict[str, Reason] = {value.code: value for value in list(globals().values()) if isinstance(value, Reason)}
