"""What is logged of a request and of its answer: CloudEvents 1.0 in binary mode, as KServe's logger sends them (pure).

Both halves carry one id. Attributes are HTTP header names and values; what a client wrote is cut to printable ASCII.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from runtimes.protocol.truth import Truth

REQUEST = "org.kubeflow.serving.inference.request"
RESPONSE = "org.kubeflow.serving.inference.response"
TRUTH = "dev.tidegate.serving.inference.truth"
_VERBS = (":predict", ":explain", "/infer", "/generate")
_PREFIXES = ("/predict/", "/predictions/", "/explanations/", "/api/")
_TEXT_LIMIT = 256
_OF_THE_CLIENT = {
    b"x-request-id": "ce-requestid",
    b"x-group-request-id": "ce-grouprequestid",
    b"traceparent": "ce-traceparent",
}
_OF_THE_BODY = {b"content-encoding": "content-encoding", b"inference-header-content-length": "ce-inferenceheaderlength"}


@dataclass(frozen=True, slots=True)
class PayloadEvent:
    """One event: its headers and its body."""

    headers: dict[str, str]
    body: bytes = field(repr=False)


def is_inference(method: bytes, path: str) -> bool:
    """Whether a request asks a model something; management and metadata are not logged."""
    return method == b"POST" and (path.endswith(_VERBS) or path.startswith(_PREFIXES))


def of_request(
    about: Mapping[str, str], id_: str, unix_s: float, path: str, headers: Mapping[bytes, bytes], body: bytes
) -> PayloadEvent:
    """Return the first half. `about`: what is said of this server in every event; `headers`: lower-case names."""
    made = _common(about, id_, REQUEST, unix_s, path)
    made["content-type"] = _shown(headers.get(b"content-type", b"application/json"))
    for known in (_OF_THE_CLIENT, _OF_THE_BODY):
        made |= {name: _shown(headers[key]) for key, name in known.items() if key in headers}
    return PayloadEvent(made, body)


def of_truth(about: Mapping[str, str], id_: str, unix_s: float, path: str, truth: Truth) -> PayloadEvent:
    """Return what became known later about the answer to a request; `ce-observedtime` is when it was so."""
    made = _common(about, id_, TRUTH, unix_s, path)
    made |= {"content-type": "application/json", "ce-requestid": _shown(truth.request_id.encode())}
    if truth.observed_unix_s is not None:
        made["ce-observedtime"] = _timestamp(truth.observed_unix_s)
    return PayloadEvent(made, truth.body)


def of_response(
    about: Mapping[str, str],
    first: PayloadEvent,
    unix_s: float,
    status: int,
    content_type: bytes,
    head: bytes,
    body: bytes,
) -> PayloadEvent:
    """Return the second half; `head`: the answer's further header lines."""
    told = first.headers
    made = _common(about, told["ce-id"], RESPONSE, unix_s, told["ce-endpoint"])
    made |= {"content-type": _shown(content_type), "ce-httpstatus": str(status)}
    made |= {name: told[name] for name in _OF_THE_CLIENT.values() if name in told}
    for line in head.split(b"\r\n"):
        key, _, value = line.partition(b":")
        if key.lower() == b"x-model-version":
            made["ce-modelversion"] = _shown(value.strip())
        elif key.lower() in _OF_THE_BODY:
            made[_OF_THE_BODY[key.lower()]] = _shown(value.strip())
    return PayloadEvent(made, body)


def _common(about: Mapping[str, str], id_: str, kind: str, unix_s: float, path: str) -> dict[str, str]:
    return {
        **about,
        "ce-specversion": "1.0",
        "ce-id": id_,
        "ce-type": kind,
        "ce-time": _timestamp(unix_s),
        "ce-endpoint": _shown(path.encode("utf-8", "replace")),
    }


def _timestamp(unix_s: float) -> str:
    text = datetime.datetime.fromtimestamp(unix_s, datetime.UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def attributes(text: str) -> dict[str, str]:
    """Return the headers of `name=value,name=value`; raises ValueError for a name that CloudEvents do not allow."""
    found = {}
    for pair in filter(None, text.split(",")):
        name, equals, value = pair.strip().partition("=")
        if not equals or not name.isascii() or not name.isalnum() or name != name.lower():
            raise ValueError(f"{pair!r} is not name=value with a name of lower-case letters and digits")
        found[f"ce-{name}"] = _shown(value.encode("utf-8", "replace"))
    return found


def _shown(value: bytes) -> str:
    return "".join(chr(byte) for byte in value[:_TEXT_LIMIT] if 32 <= byte < 127)
