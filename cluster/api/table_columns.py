"""The columns that kubectl prints for built-in kinds, and the cells of one object. Pure.

A layout is one line of column titles and one function from object and time to cells. In a title, `*` marks columns
shown only by `-o wide` and `#` numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from cluster.api.ages import since
from cluster.api.pod_columns import pod_cells
from tidegate.kube.api import Object

Cells = Callable[[Object, float], list[Any]]
_NONE = "<none>"
_ENDPOINTS_SHOWN = 3


class Layout(NamedTuple):
    """Column titles, separated by `|`, and the function that makes the cells."""

    titles: str
    cells: Cells


def name(obj: Object) -> str:
    """Return the object's name."""
    return str(obj["metadata"].get("name", ""))


def age(obj: Object, now_unix: float) -> str:
    """Return the object's age."""
    return since(obj["metadata"].get("creationTimestamp"), now_unix)


def created(obj: Object) -> str:
    """Return the time of creation as it stands in the object."""
    return obj["metadata"].get("creationTimestamp") or "<unknown>"


def _spec(obj: Object) -> Object:
    return obj.get("spec") or {}


def _status(obj: Object) -> Object:
    return obj.get("status") or {}


def _listed(parts: list[str]) -> str:
    return ",".join(part for part in parts if part) or _NONE


def _labels(labels: Object | None) -> str:
    return _listed([f"{key}={value}" for key, value in sorted((labels or {}).items())])


def _selector(selector: Object | None) -> str:
    parts = [f"{key}={value}" for key, value in sorted(((selector or {}).get("matchLabels") or {}).items())]
    for expression in (selector or {}).get("matchExpressions") or []:
        key, values = expression.get("key", ""), ",".join(sorted(expression.get("values") or []))
        forms = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "DoesNotExist": f"!{key}"}
        parts.append(forms.get(expression.get("operator", ""), key))
    return _listed(parts)


# Workloads


def _template_cells(obj: Object) -> list[Any]:
    containers = ((_spec(obj).get("template") or {}).get("spec") or {}).get("containers") or []
    names, images = ([str(c.get(field, "")) for c in containers] for field in ("name", "image"))
    return [_listed(names), _listed(images), _selector(_spec(obj).get("selector"))]


def _deployment(obj: Object, now_unix: float) -> list[Any]:
    status = _status(obj)
    ready = f"{status.get('readyReplicas', 0)}/{_spec(obj).get('replicas', 0)}"
    counts = [status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]
    return [name(obj), ready, *counts, age(obj, now_unix), *_template_cells(obj)]


def _replica_set(obj: Object, now_unix: float) -> list[Any]:
    counts = [_spec(obj).get("replicas", 0), _status(obj).get("replicas", 0), _status(obj).get("readyReplicas", 0)]
    return [name(obj), *counts, age(obj, now_unix), *_template_cells(obj)]


# Network


def _service(obj: Object, now_unix: float) -> list[Any]:
    spec = _spec(obj)
    ports = [
        f"{port.get('port')}{':' if port.get('nodePort') else ''}{port.get('nodePort') or ''}/{port.get('protocol')}"
        for port in spec.get("ports") or []
    ]
    address = spec.get("clusterIP") or _NONE
    cells = [name(obj), spec.get("type", ""), address, _external(obj), _listed(ports), age(obj, now_unix)]
    return [*cells, _labels(spec.get("selector"))]


def _external(obj: Object) -> str:
    spec = _spec(obj)
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", ""))
    addresses = list(spec.get("externalIPs") or [])
    if spec.get("type") == "LoadBalancer":
        ingress = (_status(obj).get("loadBalancer") or {}).get("ingress") or []
        addresses = [place.get("ip") or place.get("hostname", "") for place in ingress] + addresses
        return ",".join(addresses) or "<pending>"
    return _listed(addresses)


def _shortened(parts: list[str]) -> str:
    more = len(parts) - _ENDPOINTS_SHOWN
    return _listed(parts[:_ENDPOINTS_SHOWN]) + (f" + {more} more..." if more > 0 else "")


def _endpoints(obj: Object, now_unix: float) -> list[Any]:
    places = [
        f"{address.get('ip')}:{port.get('port')}"
        for subset in obj.get("subsets") or []
        for port in subset.get("ports") or []
        for address in subset.get("addresses") or []
    ]
    return [name(obj), _shortened(places), age(obj, now_unix)]


def _endpoint_slice(obj: Object, now_unix: float) -> list[Any]:
    ports = [str(port["port"]) if port.get("port") else "*" for port in obj.get("ports") or []]
    addresses = [address for endpoint in obj.get("endpoints") or [] for address in endpoint.get("addresses") or []]
    shown_ports = _shortened(ports) if ports else "<unset>"
    shown_addresses = _shortened(addresses) if addresses else "<unset>"
    return [name(obj), obj.get("addressType", ""), shown_ports, shown_addresses, age(obj, now_unix)]


# Cluster


_ROLE_LABEL = "node-role.kubernetes.io/"


def _node(obj: Object, now_unix: float) -> list[Any]:
    status, info = _status(obj), _status(obj).get("nodeInfo") or {}
    ready = [c.get("status") for c in status.get("conditions") or [] if c.get("type") == "Ready"]
    state = "Unknown" if not ready else "Ready" if ready[0] == "True" else "NotReady"
    if _spec(obj).get("unschedulable"):
        state += ",SchedulingDisabled"
    labels = obj["metadata"].get("labels") or {}
    roles = sorted(key.removeprefix(_ROLE_LABEL) for key in labels if key.startswith(_ROLE_LABEL))
    places = {place.get("type"): place.get("address") for place in status.get("addresses") or []}
    cells = [name(obj), state, _listed(roles), age(obj, now_unix), info.get("kubeletVersion", "")]
    cells += [places.get("InternalIP") or _NONE, places.get("ExternalIP") or _NONE]
    facts = ("osImage", "kernelVersion", "containerRuntimeVersion")
    return cells + [info.get(fact) or "<unknown>" for fact in facts]


def _event(obj: Object, now_unix: float) -> list[Any]:
    about, source = obj.get("involvedObject") or {}, obj.get("source") or {}
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    last = (obj.get("series") or {}).get("lastObservedTime") or obj.get("lastTimestamp") or first
    target = f"{about.get('kind', '').lower()}/{about.get('name', '')}"
    reporter = source.get("component") or obj.get("reportingComponent") or ""
    shown = f"{reporter}, {source['host']}" if source.get("host") else reporter
    count = (obj.get("series") or {}).get("count") or obj.get("count") or 1
    return [
        since(last, now_unix),
        obj.get("type", ""),
        obj.get("reason", ""),
        target,
        about.get("fieldPath", ""),
        shown,
        str(obj.get("message", "")).strip(),
        since(first, now_unix),
        count,
        name(obj),
    ]


def _binding(obj: Object, now_unix: float) -> list[Any]:
    reference, subjects = obj.get("roleRef") or {}, obj.get("subjects") or []

    def of(kind: str) -> str:
        chosen = [subject for subject in subjects if subject.get("kind") == kind]
        if kind == "ServiceAccount":
            return ", ".join(f"{subject.get('namespace', '')}/{subject.get('name', '')}" for subject in chosen)
        return ", ".join(subject.get("name", "") for subject in chosen)

    role = f"{reference.get('kind', '')}/{reference.get('name', '')}"
    return [name(obj), role, age(obj, now_unix), of("User"), of("Group"), of("ServiceAccount")]


def _counted(field: str) -> Cells:
    return lambda obj, now: [name(obj), len(obj.get(field) or []), age(obj, now)]


def _config_map(obj: Object, now_unix: float) -> list[Any]:
    return [name(obj), len(obj.get("data") or {}) + len(obj.get("binaryData") or {}), age(obj, now_unix)]


def _hpa(obj: Object, now_unix: float) -> list[Any]:
    spec, target = _spec(obj), _spec(obj).get("scaleTargetRef") or {}
    reference = f"{target.get('kind', '')}/{target.get('name', '')}"
    counts = [str(spec.get("minReplicas", "<unset>")), spec.get("maxReplicas", 0)]
    return [name(obj), reference, *counts, _status(obj).get("currentReplicas", 0), age(obj, now_unix)]


def _disruption_budget(obj: Object, now_unix: float) -> list[Any]:
    bounds = [str(_spec(obj).get(field, "N/A")) for field in ("minAvailable", "maxUnavailable")]
    return [name(obj), *bounds, _status(obj).get("disruptionsAllowed", 0), age(obj, now_unix)]


def _claim(obj: Object, now_unix: float) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
    capacity = (status.get("capacity") or {}).get("storage", "")
    modes = ",".join(status.get("accessModes") or [])
    cells = [name(obj), status.get("phase", ""), spec.get("volumeName", ""), capacity, modes]
    return [*cells, spec.get("storageClassName", ""), age(obj, now_unix), spec.get("volumeMode") or "<unset>"]


def plain(obj: Object, now_unix: float) -> list[Any]:
    """Return the cells of a kind without columns of its own: name and age."""
    return [name(obj), age(obj, now_unix)]


def _dated(obj: Object, _: float) -> list[Any]:
    return [name(obj), created(obj)]


def _quota(obj: Object, now: float) -> list[Any]:
    hard = _spec(obj).get("hard") or {}
    used = _status(obj).get("used") or {}
    shown = {key: f"{key}: {used.get(key, 0)}/{hard[key]}" for key in sorted(hard)}
    limits = [text for key, text in shown.items() if key.startswith("limits.")]
    requests = [text for key, text in shown.items() if not key.startswith("limits.")]
    return [name(obj), age(obj, now), ", ".join(requests), ", ".join(limits)]


PLAIN = Layout("Name|Age", plain)
_DATED = Layout("Name|Created At", _dated)
_BINDING = Layout("Name|Role|Age|Users*|Groups*|ServiceAccounts*", _binding)
_WEBHOOKS = Layout("Name|Webhooks#|Age", _counted("webhooks"))
_TEMPLATE = "Containers*|Images*|Selector*"
_RBAC, _ADMISSION = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"

LAYOUTS: dict[tuple[str, str], Layout] = {
    ("", "pods"): Layout("Name|Ready|Status|Restarts|Age|IP*|Node*|Nominated Node*|Readiness Gates*", pod_cells),
    ("", "services"): Layout("Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector*", _service),
    ("", "nodes"): Layout(
        "Name|Status|Roles|Age|Version|Internal-IP*|External-IP*|OS-Image*|Kernel-Version*|Container-Runtime*", _node
    ),
    ("", "namespaces"): Layout(
        "Name|Status|Age", lambda obj, now: [name(obj), _status(obj).get("phase", ""), age(obj, now)]
    ),
    ("", "configmaps"): Layout("Name|Data#|Age", _config_map),
    ("", "secrets"): Layout(
        "Name|Type|Data#|Age", lambda o, now: [name(o), o.get("type", ""), len(o.get("data") or {}), age(o, now)]
    ),
    ("", "serviceaccounts"): Layout("Name|Secrets#|Age", _counted("secrets")),
    ("", "events"): Layout("Last Seen|Type|Reason|Object|Subobject*|Source*|Message|First Seen*|Count*#|Name*", _event),
    ("", "endpoints"): Layout("Name|Endpoints|Age", _endpoints),
    ("", "limitranges"): _DATED,
    ("", "resourcequotas"): Layout("Name|Age|Request|Limit", _quota),
    ("", "persistentvolumeclaims"): Layout(
        "Name|Status|Volume|Capacity|Access Modes|StorageClass|Age|VolumeMode*", _claim
    ),
    ("apps", "deployments"): Layout(f"Name|Ready|Up-to-date#|Available#|Age|{_TEMPLATE}", _deployment),
    ("apps", "replicasets"): Layout(f"Name|Desired#|Current#|Ready#|Age|{_TEMPLATE}", _replica_set),
    ("discovery.k8s.io", "endpointslices"): Layout("Name|AddressType|Ports|Endpoints|Age", _endpoint_slice),
    ("coordination.k8s.io", "leases"): Layout(
        "Name|Holder|Age", lambda obj, now: [name(obj), _spec(obj).get("holderIdentity") or "", age(obj, now)]
    ),
    (_RBAC, "roles"): _DATED,
    (_RBAC, "clusterroles"): _DATED,
    (_RBAC, "rolebindings"): _BINDING,
    (_RBAC, "clusterrolebindings"): _BINDING,
    (_ADMISSION, "mutatingwebhookconfigurations"): _WEBHOOKS,
    (_ADMISSION, "validatingwebhookconfigurations"): _WEBHOOKS,
    ("apiextensions.k8s.io", "customresourcedefinitions"): _DATED,
    ("autoscaling", "horizontalpodautoscalers"): Layout("Name|Reference|MinPods|MaxPods#|Replicas#|Age", _hpa),
    ("policy", "poddisruptionbudgets"): Layout(
        "Name|Min Available|Max Unavailable|Allowed Disruptions#|Age", _disruption_budget
    ),
    ("networking.k8s.io", "networkpolicies"): Layout(
        "Name|Pod-Selector|Age", lambda obj, now: [name(obj), _selector(_spec(obj).get("podSelector")), age(obj, now)]
    ),
    ("scheduling.k8s.io", "priorityclasses"): Layout(
        "Name|Value#|Global-Default|Age",
        lambda o, now: [name(o), o.get("value", 0), str(bool(o.get("globalDefault"))).lower(), age(o, now)],
    ),
}
