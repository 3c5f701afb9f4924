"""config-network and config-domain: the public host of a route and of its tags, and the scheme they are shown with.

The host templates use Go's spelling, of which the fields of a route are understood: `{{.Name}}`, `{{.Namespace}}`,
`{{.Domain}}`, `{{.Tag}}` and `{{index .Labels "key"}}` (also `.Annotations`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from tidegate.contracts import problems
from tidegate.contracts.config.reading import Reader
from tidegate.contracts.names import NAME_LIMIT, VISIBILITY_LABEL
from tidegate.contracts.problems import FieldProblem

CLUSTER_DOMAIN = "svc.cluster.local"
DOMAIN_TEMPLATE = "{{.Name}}.{{.Namespace}}.{{.Domain}}"
TAG_TEMPLATE = "{{.Tag}}-{{.Name}}"
CLUSTER_LOCAL = "cluster-local"

_FIELD = re.compile(r"\{\{\s*\.(\w+)\s*\}\}")
_INDEX = re.compile(r"\{\{\s*index\s+\.(Labels|Annotations)\s+\"([^\"]+)\"\s*\}\}")
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_KNOWN_FIELDS = frozenset({"Name", "Namespace", "Domain", "Tag"})


@dataclass(frozen=True)
class Domain:
    """One public domain, and the labels a route must carry for it (empty: the default domain)."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Network:
    """Parsed config-network and config-domain."""

    domain_template: str = DOMAIN_TEMPLATE
    tag_template: str = TAG_TEMPLATE
    scheme: str = "http"
    rollout_duration_s: int = 0
    domains: tuple[Domain, ...] = (Domain(CLUSTER_DOMAIN),)


def parse(
    network_map: Mapping[str, Any] | None, domain_map: Mapping[str, Any] | None
) -> tuple[Network, list[FieldProblem]]:
    """Return the values and what is wrong with them."""
    reader = Reader(network_map)
    domains, found = _domains(domain_map)
    scheme = reader.text("default-external-scheme", "http") or "http"
    if scheme not in ("http", "https"):
        reader.complain(problems.invalid(scheme, "default-external-scheme"))
        scheme = "http"
    values = Network(
        domain_template=_template(reader, "domain-template", DOMAIN_TEMPLATE),
        tag_template=_template(reader, "tag-template", TAG_TEMPLATE),
        scheme=scheme,
        rollout_duration_s=reader.integer("rollout-duration", 0),
        domains=domains,
    )
    return values, [*reader.problems, *found]


def host(network: Network, route: Mapping[str, Any], tag: str = "") -> str:
    """Return the host of a route or of one of its tags; raises ValueError when a label of it is over 63 characters."""
    metadata = route["metadata"]
    name = metadata["name"]
    if tag:
        name = _render(network.tag_template, {"Name": name, "Tag": tag}, metadata)
    if is_cluster_local(network, route):
        result = f"{name}.{metadata['namespace']}.{CLUSTER_DOMAIN}"
    else:
        fields = {"Name": name, "Namespace": metadata["namespace"], "Domain": domain(network, route)}
        result = _render(network.domain_template, fields, metadata)
    too_long = [label for label in result.split(".") if len(label) > NAME_LIMIT]
    if too_long:
        raise ValueError(f'host "{result}" has a label of over {NAME_LIMIT} characters: "{too_long[0]}"')
    return result


def url(network: Network, route: Mapping[str, Any], tag: str = "") -> str:
    """Return the URL under which people reach a route or one of its tags; raises ValueError like `host`."""
    scheme = "http" if is_cluster_local(network, route) else network.scheme
    return f"{scheme}://{host(network, route, tag)}"


def local_url(route: Mapping[str, Any]) -> str:
    """Return the URL inside the cluster."""
    return f"http://{route['metadata']['name']}.{route['metadata']['namespace']}.{CLUSTER_DOMAIN}"


def is_cluster_local(network: Network, route: Mapping[str, Any]) -> bool:
    """Whether a route has no public host: by its label, or because no public domain fits it."""
    labels = route["metadata"].get("labels") or {}
    return labels.get(VISIBILITY_LABEL) == CLUSTER_LOCAL or domain(network, route) == CLUSTER_DOMAIN


def domain(network: Network, route: Mapping[str, Any]) -> str:
    """Return the domain whose labels fit the route: most labels first, then by name; else the cluster's own."""
    labels = (route["metadata"].get("labels") or {}).items()
    fitting = [entry for entry in network.domains if set(entry.labels) <= set(labels)]
    if not fitting:
        return CLUSTER_DOMAIN
    return min(fitting, key=lambda entry: (-len(entry.labels), entry.name)).name


def _render(template: str, fields: Mapping[str, str], metadata: Mapping[str, Any]) -> str:
    maps = {"Labels": metadata.get("labels") or {}, "Annotations": metadata.get("annotations") or {}}
    filled = _INDEX.sub(lambda match: str(maps[match[1]].get(match[2], "")), template)
    return _FIELD.sub(lambda match: fields.get(match[1], ""), filled)


def _template(reader: Reader, key: str, default: str) -> str:
    template = reader.text(key, default) or default
    sample = _render(_INDEX.sub("x", template), dict.fromkeys(_KNOWN_FIELDS, "x"), {})
    unknown = [match[1] for match in _FIELD.finditer(template) if match[1] not in _KNOWN_FIELDS]
    if unknown or not _HOST.fullmatch(sample):
        reader.complain(problems.invalid(template, key))
        return default
    return template


def _domains(domain_map: Mapping[str, Any] | None) -> tuple[tuple[Domain, ...], list[FieldProblem]]:
    reader = Reader(domain_map)
    found = []
    for name, text in reader.data.items():
        try:
            selector = _selector(text)
        except ValueError:
            reader.complain(problems.invalid(text, name))
            continue
        found.append(Domain(name, tuple(sorted(selector.items()))))
    return tuple(found) or (Domain(CLUSTER_DOMAIN),), reader.problems


def _selector(text: str) -> dict[str, str]:
    # The value is YAML of the one form `selector:` with plain `key: value` lines below it, or JSON of the same shape.
    body = text.strip()
    if not body:
        return {}
    if body.startswith("{"):
        return dict(msgspec.json.decode(body, type=dict[str, dict[str, str]]).get("selector", {}))
    head, *lines = body.splitlines()
    if head.strip() != "selector:":
        raise ValueError(text)
    pairs = [line.strip().partition(":") for line in lines if line.strip()]
    if any(not mark for _, mark, _ in pairs):
        raise ValueError(text)
    return {key.strip().strip("\"'"): value.strip().strip("\"'") for key, _, value in pairs}
