"""The template of a request log line: text with `{{.Field}}` in it, from a closed list of fields.

Pure. It has Knative's field names and no more of a template language: no conditions, loops or functions (`js` may stand
before a field and changes nothing). Values are always escaped as JSON strings are, so that no client can end a line or
a string.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii

UNKNOWN_SIZE = -1

DEFAULT = (
    '{"httpRequest": {"requestMethod": "{{.Request.Method}}", "requestUrl": "{{.Request.RequestURI}}", '
    '"requestSize": "{{.Request.ContentLength}}", "status": {{.Response.Code}}, '
    '"responseSize": "{{.Response.Size}}", "userAgent": "{{.Request.UserAgent}}", '
    '"remoteIp": "{{.Request.RemoteAddr}}", "serverIp": "{{.Revision.PodIP}}", "referer": "{{.Request.Referer}}", '
    '"latency": "{{.Response.Latency}}s", "protocol": "{{.Request.Proto}}"}, "traceId": "{{.TraceID}}"}'
)


@dataclass(slots=True)
class Entry:
    """What one line can say. Sizes are bytes of bodies, `UNKNOWN_SIZE` where nobody counted them."""

    method: str
    url: str
    host: str
    protocol: str
    remote_ip: str
    user_agent: str = ""
    referer: str = ""
    request_size: int = UNKNOWN_SIZE
    status: int = 0
    response_size: int = UNKNOWN_SIZE
    latency_s: float = 0.0
    namespace: str = ""
    revision: str = ""
    service: str = ""
    configuration: str = ""
    pod: str = ""
    pod_ip: str = ""
    trace_id: str = ""


FIELDS: dict[str, Callable[[Entry], str]] = {
    "Request.Method": lambda entry: _escaped(entry.method),
    "Request.RequestURI": lambda entry: _escaped(entry.url),
    "Request.Host": lambda entry: _escaped(entry.host),
    "Request.Proto": lambda entry: _escaped(entry.protocol),
    "Request.RemoteAddr": lambda entry: _escaped(entry.remote_ip),
    "Request.UserAgent": lambda entry: _escaped(entry.user_agent),
    "Request.Referer": lambda entry: _escaped(entry.referer),
    "Request.ContentLength": lambda entry: str(entry.request_size),
    "Response.Code": lambda entry: str(entry.status),
    "Response.Size": lambda entry: str(entry.response_size),
    "Response.Latency": lambda entry: f"{entry.latency_s:.6f}",
    "Revision.Namespace": lambda entry: _escaped(entry.namespace),
    "Revision.Name": lambda entry: _escaped(entry.revision),
    "Revision.Service": lambda entry: _escaped(entry.service),
    "Revision.Configuration": lambda entry: _escaped(entry.configuration),
    "Revision.PodName": lambda entry: _escaped(entry.pod),
    "Revision.PodIP": lambda entry: _escaped(entry.pod_ip),
    "TraceID": lambda entry: _escaped(entry.trace_id),
}

_PLACE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_FIELD = re.compile(r"-?\s*(?:js\s+)?\.([A-Za-z.]+)\s*-?")


class Template:
    """A template, read once."""

    __slots__ = ("_places", "_texts")

    def __init__(self, text: str) -> None:
        """Raises ValueError for a field that does not exist and for anything else between braces."""
        pieces = _PLACE.split(text.strip())
        self._texts = [re.sub(r"[\r\n]+", " ", piece) for piece in pieces[0::2]]
        self._places = [_field(piece) for piece in pieces[1::2]]
        if any("{{" in piece for piece in self._texts):
            raise ValueError("an opening {{ has no end")

    def render(self, entry: Entry) -> str:
        """Return the line, without an end of line."""
        parts = [self._texts[0]]
        for place, text in zip(self._places, self._texts[1:], strict=True):
            parts += (place(entry), text)
        return "".join(parts)


def _field(text: str) -> Callable[[Entry], str]:
    match = _FIELD.fullmatch(text)
    found = FIELDS.get(match[1]) if match else None
    if found is None:
        raise ValueError(f"{{{{{text}}}}} is not a field; fields are {', '.join(FIELDS)}")
    return found


def _escaped(text: str) -> str:
    return encode_basestring_ascii(text)[1:-1]
