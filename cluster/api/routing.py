"""(pure) The Kubernetes URL space: a path as the group, version, kind, namespace, name and subresource it addresses."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote


@dataclass(frozen=True, slots=True)
class Target:
    """What a resource path addresses; `tail` is whatever follows the subresource (a proxied path)."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    tail: str = ""


def parse(raw_path: str) -> Target | None:
    """Return what `/api/v1/...` or `/apis/<group>/<version>/...` addresses; None for every other path."""
    segments = raw_path.split("/")[1:]
    if segments[:1] == ["api"] and len(segments) > 2:
        return _resource("", segments[1], segments[2:])
    if segments[:1] == ["apis"] and len(segments) > 3:
        return _resource(unquote(segments[1]), unquote(segments[2]), segments[3:])
    return None


def _resource(group: str, version: str, segments: list[str]) -> Target | None:
    namespace = ""
    if segments[0] == "namespaces" and len(segments) > 2 and not _is_of_namespace(group, segments):
        namespace, segments = unquote(segments[1]), segments[2:]
    parts = [unquote(segment) for segment in segments[:3]] + ["", "", ""]
    tail = "/".join(segments[3:])
    if not parts[0] or (len(segments) > 3 and parts[2] != "proxy"):
        return None
    return Target(group, version, parts[0], namespace, parts[1], parts[2], tail)


def _is_of_namespace(group: str, segments: list[str]) -> bool:
    return not group and segments[2] in ("status", "finalize") and len(segments) == 3
