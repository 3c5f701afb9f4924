"""The values that Kubernetes gives to fields of built-in kinds when a manifest leaves them out (API server defaulting).

Pure; changes the object in place. Source of the facts: the defaults that the Kubernetes API reference states per field.
Values of a wrong type are left alone: validation runs afterwards and says what is wrong with them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

from tidegate.kube.api import Object

_FILE_MODE = 0o644
_RBAC = "rbac.authorization.k8s.io"


def default_builtin(kind: str, group: str, obj: Object) -> None:
    """Fill in defaults of a built-in kind; other kinds are left as they are."""
    _fill(obj, _DEFAULTS.get((group, kind), _nothing))


def _nothing(_: Object) -> None:
    return


def _fill(holder: Any, fill: Callable[[Object], None]) -> None:
    if isinstance(holder, dict):
        fill(holder)


def _maps(holder: Object, *fields: str) -> Iterator[Object]:
    """Yield the objects in lists `fields` of `holder`."""
    for field in fields:
        items = holder.get(field)
        if isinstance(items, list):
            yield from (item for item in items if isinstance(item, dict))


def _set(holder: Object, **values: Any) -> None:
    for field, value in values.items():
        if holder.get(field) is None:
            holder[field] = value


# Workloads


def _pod(obj: Object) -> None:
    _fill(obj.setdefault("spec", {}), _pod_only)
    _fill(obj["spec"], pod_spec)


def _pod_only(spec: Object) -> None:
    _set(spec, enableServiceLinks=True)
    for container in _maps(spec, "containers", "initContainers"):
        resources = container.get("resources")
        limits = resources.get("limits") if isinstance(resources, dict) else None
        if isinstance(limits, dict) and isinstance(resources, dict):
            requests = resources.get("requests")
            if requests is None or isinstance(requests, dict):
                resources["requests"] = limits | (requests or {})


def pod_spec(spec: Object) -> None:
    """Fill in the defaults of a pod's or pod template's spec."""
    _set(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
    )
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    if spec.get("serviceAccount") and not spec.get("serviceAccountName"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for container in _maps(spec, "containers", "initContainers", "ephemeralContainers"):
        _container(container, spec.get("hostNetwork") is True)
    for volume in _maps(spec, "volumes"):
        _volume(volume)


def _container(container: Object, on_host: bool) -> None:
    if container.get("imagePullPolicy") is None and isinstance(container.get("image"), str):
        container["imagePullPolicy"] = "Always" if _is_latest(container["image"]) else "IfNotPresent"
    _set(container, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File")
    if container.get("resources") is None:
        container["resources"] = {}
    _fill(container["resources"], _quantities)
    for port in _maps(container, "ports"):
        _set(port, protocol="TCP")
        if on_host and port.get("containerPort"):
            _set(port, hostPort=port["containerPort"])
    for variable in _maps(container, "env"):
        source = variable.get("valueFrom")
        if isinstance(source, dict):
            _fill(source.get("fieldRef"), _field_ref)
            _fill(source.get("resourceFieldRef"), _divisor)
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        _fill(container.get(name), _probe)
    lifecycle = container.get("lifecycle")
    if isinstance(lifecycle, dict):
        for handler in ("postStart", "preStop"):
            _fill(lifecycle.get(handler), _handler)


def _is_latest(image: str) -> bool:
    if "@" in image:
        return False
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return not colon or tag == "latest"


def _quantities(resources: Object) -> None:
    for amounts in (resources.get("limits"), resources.get("requests")):
        if isinstance(amounts, dict):
            for name, amount in amounts.items():
                if isinstance(amount, int | float) and not isinstance(amount, bool):
                    amounts[name] = str(amount)


def _field_ref(source: Object) -> None:
    _set(source, apiVersion="v1")


def _divisor(source: Object) -> None:
    _set(source, divisor="0")


def _probe(probe: Object) -> None:
    # Zero means "default" here: none of these may be zero.
    for field, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        if not probe.get(field):
            probe[field] = value
    _handler(probe)


def _handler(handler: Object) -> None:
    http = handler.get("httpGet")
    if isinstance(http, dict):
        http["path"] = http.get("path") or "/"
        http["scheme"] = http.get("scheme") or "HTTP"
    grpc = handler.get("grpc")
    if isinstance(grpc, dict):
        _set(grpc, service="")


def _volume(volume: Object) -> None:
    if len(volume) == 1 and "name" in volume:
        volume["emptyDir"] = {}
    for source in ("configMap", "secret", "downwardAPI", "projected"):
        _fill(volume.get(source), _file_mode)
    downward, projected, host = volume.get("downwardAPI"), volume.get("projected"), volume.get("hostPath")
    if isinstance(downward, dict):
        _downward_items(downward)
    if isinstance(host, dict):
        _set(host, type="")
    if isinstance(projected, dict):
        for source_ in _maps(projected, "sources"):
            _fill(source_.get("downwardAPI"), _downward_items)
            _fill(source_.get("serviceAccountToken"), lambda token: _set(token, expirationSeconds=3600))


def _file_mode(source: Object) -> None:
    _set(source, defaultMode=_FILE_MODE)


def _downward_items(source: Object) -> None:
    for item in _maps(source, "items"):
        _fill(item.get("fieldRef"), _field_ref)
        _fill(item.get("resourceFieldRef"), _divisor)


def _template(spec: Object) -> None:
    template = spec.get("template")
    if isinstance(template, dict):
        _set(template, metadata={})
        _fill(template.setdefault("spec", {}), pod_spec)


def _deployment(obj: Object) -> None:
    def fill(spec: Object) -> None:
        _set(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600, strategy={})
        strategy = spec["strategy"]
        if isinstance(strategy, dict):
            strategy["type"] = strategy.get("type") or "RollingUpdate"
            if strategy["type"] == "RollingUpdate":
                _set(strategy, rollingUpdate={})
                _fill(strategy["rollingUpdate"], lambda rolling: _set(rolling, maxUnavailable="25%", maxSurge="25%"))
        _template(spec)

    _fill(obj.setdefault("spec", {}), fill)


def _replica_set(obj: Object) -> None:
    def fill(spec: Object) -> None:
        _set(spec, replicas=1)
        _template(spec)

    _fill(obj.setdefault("spec", {}), fill)


# Services, secrets, access


def _service(obj: Object) -> None:
    def fill(spec: Object) -> None:
        _set(spec, type="ClusterIP", sessionAffinity="None")
        if spec["sessionAffinity"] == "ClientIP":
            _set(spec, sessionAffinityConfig={"clientIP": {"timeoutSeconds": 10800}})
        for port in _maps(spec, "ports"):
            _set(port, protocol="TCP")
            if port.get("targetPort") in (None, 0, ""):
                port["targetPort"] = port.get("port")
        if spec["type"] == "ExternalName":
            return
        _set(spec, internalTrafficPolicy="Cluster", ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
        if spec.get("clusterIP"):
            _set(spec, clusterIPs=[spec["clusterIP"]])
        if spec["type"] in ("NodePort", "LoadBalancer"):
            _set(spec, externalTrafficPolicy="Cluster")
        if spec["type"] == "LoadBalancer":
            _set(spec, allocateLoadBalancerNodePorts=True)

    _fill(obj.setdefault("spec", {}), fill)
    _set(obj, status={"loadBalancer": {}})


def _secret(obj: Object) -> None:
    _set(obj, type="Opaque")
    texts = obj.pop("stringData", None)
    if isinstance(texts, dict) and texts:
        data = obj.get("data") if isinstance(obj.get("data"), dict) else {}
        encoded = {key: base64.b64encode(str(text).encode()).decode() for key, text in texts.items()}
        obj["data"] = (data or {}) | encoded


def _namespace(obj: Object) -> None:
    _fill(obj.setdefault("spec", {}), lambda spec: _set(spec, finalizers=["kubernetes"]))
    _fill(obj.setdefault("status", {}), lambda status: _set(status, phase="Active"))


def _claim(obj: Object) -> None:
    _fill(obj.setdefault("spec", {}), lambda spec: _set(spec, volumeMode="Filesystem"))
    _fill(obj.setdefault("status", {}), lambda status: _set(status, phase="Pending"))


def _role_binding(obj: Object) -> None:
    _fill(obj.get("roleRef"), lambda reference: _set(reference, apiGroup=_RBAC))
    for subject in _maps(obj, "subjects"):
        if subject.get("kind") in ("User", "Group"):
            _set(subject, apiGroup=_RBAC)


def _endpoint_slice(obj: Object) -> None:
    for port in _maps(obj, "ports"):
        _set(port, name="", protocol="TCP")


def _endpoints(obj: Object) -> None:
    for subset in _maps(obj, "subsets"):
        for port in _maps(subset, "ports"):
            _set(port, protocol="TCP")


# Extensions


def _webhooks(obj: Object) -> None:
    for webhook in _maps(obj, "webhooks"):
        _set(webhook, failurePolicy="Fail", matchPolicy="Equivalent", timeoutSeconds=10)
        _set(webhook, namespaceSelector={}, objectSelector={})
        for rule in _maps(webhook, "rules"):
            _set(rule, scope="*")
        client = webhook.get("clientConfig")
        if isinstance(client, dict):
            _fill(client.get("service"), lambda service: _set(service, port=443))


def _mutating_webhooks(obj: Object) -> None:
    _webhooks(obj)
    for webhook in _maps(obj, "webhooks"):
        _set(webhook, reinvocationPolicy="Never")


def _definition(obj: Object) -> None:
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return
    _set(spec, conversion={"strategy": "None"})
    names = spec.get("names")
    if isinstance(names, dict) and isinstance(names.get("kind"), str):
        _set(names, singular=names["kind"].lower(), listKind=f"{names['kind']}List")


_DEFAULTS: dict[tuple[str, str], Callable[[Object], None]] = {
    ("", "Pod"): _pod,
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replica_set,
    ("", "Service"): _service,
    ("", "Secret"): _secret,
    ("", "Namespace"): _namespace,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Endpoints"): _endpoints,
    ("discovery.k8s.io", "EndpointSlice"): _endpoint_slice,
    (_RBAC, "RoleBinding"): _role_binding,
    (_RBAC, "ClusterRoleBinding"): _role_binding,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): _mutating_webhooks,
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): _webhooks,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
}
