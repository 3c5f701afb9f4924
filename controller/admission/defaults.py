"""What an author left unsaid, written into the object before it is stored."""

from __future__ import annotations

import copy
from typing import Any

from controller.cluster_config import ClusterConfig
from tidegate.contracts import names, serving
from tidegate.contracts.config import defaults as config_defaults
from tidegate.contracts.config.defaults import Defaults

Object = dict[str, Any]

_OWN_ACCESS = ("emptyDir", "persistentVolumeClaim", "ephemeral")


def service(obj: Object, old: Object | None, config: ClusterConfig) -> None:
    """Default a Service in place."""
    configuration(obj, old, config)
    spec = obj["spec"]
    if not spec.get("traffic"):
        spec["traffic"] = [{"percent": 100, "latestRevision": True}]
    _traffic(spec["traffic"])


def route(obj: Object) -> None:
    """Default a Route in place."""
    _traffic(obj.setdefault("spec", {}).get("traffic") or [])


def configuration(obj: Object, old: Object | None, config: ClusterConfig) -> None:
    """Default a Configuration's template in place, unless an unchanged name says that it is the one already stored."""
    template = obj.setdefault("spec", {}).setdefault("template", {})
    name = (template.get("metadata") or {}).get("name")
    if old is not None and name and name == _template_name(old):
        return
    revision_spec(template.setdefault("spec", {}), obj["metadata"].get("name", ""), config, is_create=old is None)


def revision_spec(spec: Object, name: str, config: ClusterConfig, *, is_create: bool) -> None:
    """Default a Revision's spec in place; `name` is that of the object it stands in."""
    known = config.defaults
    _timeouts(spec, known)
    if spec.get("containerConcurrency") is None:
        spec["containerConcurrency"] = known.container_concurrency
    if is_create and spec.get("enableServiceLinks") is None and known.enable_service_links is not None:
        spec["enableServiceLinks"] = known.enable_service_links
    containers, inits = spec.get("containers") or [], spec.get("initContainers") or []
    taken = {container.get("name") for container in [*containers, *inits] if container.get("name")}
    _name(containers, config_defaults.render_name(known.container_name, name), taken)
    _name(inits, config_defaults.render_name(known.init_container_name, name), taken)
    volumes = {volume.get("name"): volume for volume in spec.get("volumes") or []}
    for container in [*containers, *inits]:
        _resources(container, known)
        _mounts(container, volumes)
        _security(container, spec.get("securityContext") or {}, config)
    for container in containers:
        _readiness(container, is_serving=len(containers) == 1 or bool(container.get("ports")))
        _probes(container)


def users(obj: Object, old: Object | None, user: str) -> None:
    """Write who made and who last changed the object's spec into its annotations, in place."""
    if obj["metadata"].get("ownerReferences") or not user:
        return
    annotations = obj["metadata"].get("annotations") or {}
    if old is None:
        annotations = annotations | {names.CREATOR_ANNOTATION: user, names.LAST_MODIFIER_ANNOTATION: user}
    elif obj.get("spec") != old.get("spec"):
        annotations = annotations | {names.LAST_MODIFIER_ANNOTATION: user}
    if annotations:
        obj["metadata"]["annotations"] = annotations


def _template_name(obj: Object) -> str:
    template = (obj.get("spec") or {}).get("template") or {}
    return str((template.get("metadata") or {}).get("name") or "")


def _traffic(traffic: list[Object]) -> None:
    for target in traffic:
        if target.get("latestRevision") is None:
            target["latestRevision"] = not target.get("revisionName")
        if target.get("percent") is None:
            target["percent"] = 0


def _timeouts(spec: Object, known: Defaults) -> None:
    if not spec.get("timeoutSeconds"):
        spec["timeoutSeconds"] = known.timeout_s
    # The other two apply only where they are stricter than the whole request's limit.
    for key, seconds in (
        ("responseStartTimeoutSeconds", known.response_start_timeout_s),
        ("idleTimeoutSeconds", known.idle_timeout_s),
    ):
        if spec.get(key) is None and seconds and seconds < spec["timeoutSeconds"]:
            spec[key] = seconds


def _name(containers: list[Object], plain: str, taken: set[Any]) -> None:
    number = 0
    for container in containers:
        if container.get("name"):
            continue
        name = plain
        if len(containers) > 1 or plain in taken:
            while (name := f"{plain}-{number}") in taken:
                number += 1
            number += 1
        container["name"] = name
        taken.add(name)


def _resources(container: Object, known: Defaults) -> None:
    for kind, values in (("requests", known.requests), ("limits", known.limits)):
        if values:
            resources = container.setdefault("resources", {})
            resources[kind] = dict(values) | (resources.get(kind) or {})


def _mounts(container: Object, volumes: dict[Any, Object]) -> None:
    for mount in container.get("volumeMounts") or []:
        volume = volumes.get(mount.get("name"), {})
        if not any(volume.get(source) is not None for source in _OWN_ACCESS):
            mount["readOnly"] = True


def _security(container: Object, pod: Object, config: ClusterConfig) -> None:
    mode = config.features.state("secure-pod-defaults")
    if mode not in ("Enabled", "AllowRootBounded"):
        return
    context = container.setdefault("securityContext", {})
    context.setdefault("allowPrivilegeEscalation", False)
    if pod.get("seccompProfile") is None:
        context.setdefault("seccompProfile", {"type": "RuntimeDefault"})
    if "capabilities" not in context:
        ports = [port.get("containerPort") or 0 for port in container.get("ports") or []]
        added = {"add": ["NET_BIND_SERVICE"]} if any(0 < port < 1024 for port in ports) else {}
        context["capabilities"] = {"drop": ["ALL"]} | added
    if mode == "Enabled" and pod.get("runAsNonRoot") is None:
        context.setdefault("runAsNonRoot", True)


def _readiness(container: Object, *, is_serving: bool) -> None:
    if is_serving:
        probe = copy.deepcopy(container.get("readinessProbe") or {})
        if not any(probe.get(handler) is not None for handler in ("httpGet", "tcpSocket", "grpc", "exec")):
            probe["tcpSocket"] = {}
        container["readinessProbe"] = probe
    probe = container.get("readinessProbe")
    if probe is None:
        return
    if not probe.get("successThreshold"):
        probe["successThreshold"] = 1
    if probe.get("periodSeconds"):
        probe["failureThreshold"] = probe.get("failureThreshold") or 3
        probe["timeoutSeconds"] = probe.get("timeoutSeconds") or 1


def _probes(container: Object) -> None:
    for kind in ("readinessProbe", "livenessProbe", "startupProbe"):
        grpc = (container.get(kind) or {}).get("grpc")
        if grpc is not None and grpc.get("service") is None:
            grpc["service"] = ""


def pod_autoscaler(obj: Object, config: ClusterConfig) -> None:
    """Default a PodAutoscaler in place: its class and metric are always written out."""
    annotations = obj["metadata"].setdefault("annotations", {})
    if names.AUTOSCALING + "class" not in annotations:
        annotations[names.AUTOSCALING + "class"] = config.autoscaler.pod_autoscaler_class
    obj.setdefault("spec", {}).setdefault("protocolType", serving.HTTP1)
