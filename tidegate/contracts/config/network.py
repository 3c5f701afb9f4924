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

from tidegate.contracts import label_selectors, problems
from tidegate.contracts.config.reading import Reader
from tidegate.contracts.label_selectors import Selector
from tidegate.contracts.names import (
    CERT_MANAGER_CLASS,
    CERTIFICATE_CLASS_ANNOTATION,
    CLUSTER_DOMAIN,
    CLUSTER_LOCAL,
    CLUSTER_LOCAL_DOMAIN,
    EXTERNAL_DOMAIN,
    HTTP_PROTOCOL_ANNOTATION,
    NAME_LIMIT,
    OWN_CERTIFICATE_CLASS,
    REDIRECTED,
    SYSTEM_INTERNAL,
    VISIBILITY_LABEL,
)
from tidegate.contracts.problems import FieldProblem

DOMAIN_TEMPLATE = "{{.Name}}.{{.Namespace}}.{{.Domain}}"
TAG_TEMPLATE = "{{.Tag}}-{{.Name}}"
ENABLED, DISABLED = "enabled", "disabled"
HTTP_PROTOCOLS = (ENABLED, REDIRECTED)
HTTP_PROTOCOL_KEYS = (HTTP_PROTOCOL_ANNOTATION, "networking.knative.dev/httpOption")
DISABLE_TLS_KEYS = tuple(
    f"networking.knative.dev/{name}" for name in ("disable-external-domain-tls", "disable-auto-tls", "disableAutoTLS")
)
CERTIFICATE_CLASS_KEYS = (CERTIFICATE_CLASS_ANNOTATION, "networking.knative.dev/certificate-class")
ISSUER_KEYS = {
    "issuerRef": EXTERNAL_DOMAIN,
    "clusterLocalIssuerRef": CLUSTER_LOCAL_DOMAIN,
    "systemInternalIssuerRef": SYSTEM_INTERNAL,
}
"""Keys of config-certmanager, and which certificates the issuer signs that they name."""

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
class Issuer:
    """Whom cert-manager asks for a certificate."""

    name: str
    kind: str = "ClusterIssuer"
    group: str = ""


@dataclass(frozen=True)
class Network:
    """Parsed config-network, config-domain and config-certmanager."""

    domain_template: str = DOMAIN_TEMPLATE
    tag_template: str = TAG_TEMPLATE
    scheme: str = "http"
    rollout_duration_s: int = 0
    http_protocol: str = ENABLED
    has_external_tls: bool = False
    has_system_tls: bool = False
    has_local_tls: bool = False
    creates_domain_claims: bool = False
    domains: tuple[Domain, ...] = (Domain(CLUSTER_DOMAIN),)
    certificate_class: str = OWN_CERTIFICATE_CLASS
    issuers: tuple[tuple[str, Issuer], ...] = ()
    """By what a certificate is for (`names.EXTERNAL_DOMAIN` and the others)."""
    wildcard_selector: Selector | None = None
    """The namespaces whose public hosts share one certificate; None: none."""


def parse(
    network_map: Mapping[str, Any] | None,
    domain_map: Mapping[str, Any] | None,
    certmanager_map: Mapping[str, Any] | None = None,
) -> tuple[Network, list[FieldProblem]]:
    """Return the values and what is wrong with them."""
    reader = Reader(network_map)
    domains, found = _domains(domain_map)
    issuers, wrong = _issuers(certmanager_map)
    # Who has told cert-manager's issuer means cert-manager, as Knative does by default.
    usual_class = CERT_MANAGER_CLASS if issuers else OWN_CERTIFICATE_CLASS
    scheme = reader.text("default-external-scheme", "http") or "http"
    if scheme not in ("http", "https"):
        reader.complain(problems.invalid(scheme, "default-external-scheme"))
        scheme = "http"
    # Knative's settings of meshes: read for their mistakes only, as there is no mesh in the way here.
    reader.choice("mesh-compatibility-mode", ("auto", ENABLED, DISABLED), "auto")
    reader.boolean("enable-mesh-pod-addressability", False)
    values = Network(
        domain_template=_template(reader, "domain-template", DOMAIN_TEMPLATE),
        tag_template=_template(reader, "tag-template", TAG_TEMPLATE),
        scheme=scheme,
        rollout_duration_s=reader.integer("rollout-duration", 0),
        http_protocol=reader.choice("http-protocol", (*HTTP_PROTOCOLS, DISABLED), ENABLED),
        has_external_tls=_has_tls(reader),
        has_system_tls=reader.choice("system-internal-tls", (ENABLED, DISABLED), DISABLED) == ENABLED,
        has_local_tls=reader.choice("cluster-local-domain-tls", (ENABLED, DISABLED), DISABLED) == ENABLED,
        creates_domain_claims=reader.boolean("autocreate-cluster-domain-claims", False),
        domains=domains,
        certificate_class=reader.text("certificate-class") or usual_class,
        issuers=issuers,
        wildcard_selector=_wildcard_selector(reader),
    )
    return values, [*reader.problems, *found, *wrong]


def host(network: Network, route: Mapping[str, Any], tag: str = "", *, is_local: bool = False) -> str:
    """Return the host of a route or of one of its tags; raises ValueError when a label of it is over 63 characters.

    `is_local`: only for the cluster, whatever the route says. Names inside the cluster follow no template.
    """
    metadata = route["metadata"]
    if is_local or is_cluster_local(network, route):
        result = f"{local_name(route, tag)}.{metadata['namespace']}.{CLUSTER_DOMAIN}"
    else:
        name = metadata["name"]
        if tag:
            name = _render(network.tag_template, {"Name": name, "Tag": tag}, metadata)
        fields = {"Name": name, "Namespace": metadata["namespace"], "Domain": domain(network, route)}
        result = _render(network.domain_template, fields, metadata)
    too_long = [label for label in result.split(".") if len(label) > NAME_LIMIT]
    if too_long:
        raise ValueError(f'host "{result}" has a label of over {NAME_LIMIT} characters: "{too_long[0]}"')
    return result


def url(network: Network, route: Mapping[str, Any], tag: str = "", *, is_local: bool = False) -> str:
    """Return the URL under which people reach a route or one of its tags, as without TLS; raises ValueError like
    `host`."""
    name = host(network, route, tag, is_local=is_local)
    if name.endswith(f".{CLUSTER_DOMAIN}"):
        return f"{_local_scheme(network)}://{name}"
    return f"{network.scheme}://{name}"


def local_name(route: Mapping[str, Any], tag: str = "") -> str:
    """Return the first label of a route's, or its tag's, name inside the cluster: that of its placeholder Service."""
    name = str(route["metadata"]["name"])
    return f"{tag}-{name}" if tag else name


def local_url(network: Network, route: Mapping[str, Any]) -> str:
    """Return the URL inside the cluster."""
    metadata = route["metadata"]
    return f"{_local_scheme(network)}://{metadata['name']}.{metadata['namespace']}.{CLUSTER_DOMAIN}"


def local_hosts(name: str, namespace: str) -> list[str]:
    """Return the hosts that callers inside the cluster use for a name of a namespace."""
    return [f"{name}.{namespace}{suffix}" for suffix in ("", ".svc", f".{CLUSTER_DOMAIN}")]


def is_cluster_local(network: Network, route: Mapping[str, Any]) -> bool:
    """Whether a route has no public host: by its label, or because no public domain fits it."""
    return is_marked_local(route) or domain(network, route) == CLUSTER_DOMAIN


def is_marked_local(obj: Mapping[str, Any] | None) -> bool:
    """Whether an object (a Route, a placeholder Service) has the label that keeps it inside the cluster."""
    labels = ((obj or {}).get("metadata") or {}).get("labels") or {}
    return bool(labels.get(VISIBILITY_LABEL) == CLUSTER_LOCAL)


def has_tls(network: Network, route: Mapping[str, Any]) -> bool:
    """Whether a route's public hosts are served by TLS: by config-network, unless the route switches it off."""
    annotations = route["metadata"].get("annotations") or {}
    is_off = any(str(annotations.get(key, "")).lower() == "true" for key in DISABLE_TLS_KEYS)
    return network.has_external_tls and not is_off


def certificate_class(network: Network, obj: Mapping[str, Any]) -> str:
    """Return who is to make the certificates of a Route or DomainMapping: by its annotation, else by config-network."""
    annotations = obj["metadata"].get("annotations") or {}
    return next((str(annotations[key]) for key in CERTIFICATE_CLASS_KEYS if annotations.get(key)), "") or (
        network.certificate_class
    )


def issuer(network: Network, purpose: str) -> Issuer | None:
    """Return whom cert-manager is to ask for certificates of a purpose (`names.EXTERNAL_DOMAIN` and the others)."""
    return dict(network.issuers).get(purpose)


def http_protocol(network: Network, route: Mapping[str, Any]) -> str:
    """Return `enabled` or `redirected` for a route; raises ValueError when its annotation is neither."""
    annotations = route["metadata"].get("annotations") or {}
    text = next((str(annotations[key]) for key in HTTP_PROTOCOL_KEYS if key in annotations), network.http_protocol)
    if text.lower() not in HTTP_PROTOCOLS and text.lower() != DISABLED:
        raise ValueError(f"incorrect http-protocol annotation: {text}")
    return text.lower()


def domain(network: Network, route: Mapping[str, Any]) -> str:
    """Return the domain whose labels fit the route: most labels first, then by name; else the cluster's own."""
    labels = (route["metadata"].get("labels") or {}).items()
    fitting = [entry for entry in network.domains if set(entry.labels) <= set(labels)]
    if not fitting:
        return CLUSTER_DOMAIN
    return min(fitting, key=lambda entry: (-len(entry.labels), entry.name)).name


def default_domain(network: Network) -> str:
    """Return the domain of routes without labels."""
    return domain(network, {"metadata": {}})


def wildcard(network: Network, namespace: str) -> str:
    """Return `*.<rest>` for the public hosts of a namespace's routes; empty where no wildcard can be for them."""
    fields = {"Name": "*", "Namespace": namespace, "Domain": default_domain(network)}
    host = _render(network.domain_template, fields, {})
    is_fit = host.startswith("*.") and host.count("*") == 1 and fields["Domain"] != CLUSTER_DOMAIN
    return host if is_fit and namespace in host.split(".") else ""


def _wildcard_selector(reader: Reader) -> Selector | None:
    key = "namespace-wildcard-cert-selector"
    if not (text := reader.text(key)):
        return None
    try:
        return label_selectors.parse(text)
    except ValueError as error:
        reader.complain(problems.invalid(text, key, f"write a label selector: {error}"))
        return None


def _render(template: str, fields: Mapping[str, str], metadata: Mapping[str, Any]) -> str:
    maps = {"Labels": metadata.get("labels") or {}, "Annotations": metadata.get("annotations") or {}}
    filled = _INDEX.sub(lambda match: str(maps[match[1]].get(match[2], "")), template)
    return _FIELD.sub(lambda match: fields.get(match[1], ""), filled)


def _has_tls(reader: Reader) -> bool:
    older = reader.choice("auto-tls", (ENABLED, DISABLED), DISABLED)
    return reader.choice("external-domain-tls", (ENABLED, DISABLED), older) == ENABLED


def _local_scheme(network: Network) -> str:
    return "https" if network.has_local_tls else "http"


def _template(reader: Reader, key: str, default: str) -> str:
    template = reader.text(key, default) or default
    sample = _render(_INDEX.sub("x", template), dict.fromkeys(_KNOWN_FIELDS, "x"), {})
    unknown = [match[1] for match in _FIELD.finditer(template) if match[1] not in _KNOWN_FIELDS]
    if unknown or not _HOST.fullmatch(sample):
        reader.complain(problems.invalid(template, key))
        return default
    return template


def _issuers(certmanager_map: Mapping[str, Any] | None) -> tuple[tuple[tuple[str, Issuer], ...], list[FieldProblem]]:
    reader = Reader(certmanager_map)
    found = []
    for key, purpose in ISSUER_KEYS.items():
        if not (text := reader.text(key)):
            continue
        try:
            fields = _pairs(text)
        except ValueError:
            fields = {}
        unknown = fields.keys() - {"name", "kind", "group"}
        if not fields.get("name") or unknown or fields.get("kind", "ClusterIssuer") not in ("ClusterIssuer", "Issuer"):
            reader.complain(problems.invalid(text, key, "write `kind: ClusterIssuer` and `name: ...`, a line each"))
            continue
        found.append((purpose, Issuer(**fields)))
    return tuple(found), reader.problems


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
    return _pairs("\n".join(lines))


def _pairs(text: str) -> dict[str, str]:
    """Return plain `key: value` lines, or JSON of the same shape; raises ValueError."""
    if text.strip().startswith("{"):
        return dict(msgspec.json.decode(text, type=dict[str, str]))
    pairs = [line.strip().partition(":") for line in text.splitlines() if line.strip()]
    if any(not mark for _, mark, _ in pairs):
        raise ValueError(text)
    return {key.strip().strip("\"'"): value.strip().strip("\"'") for key, _, value in pairs}
