"""The containers of a Revision: the serving one, sidecars and init containers."""

from __future__ import annotations

import re
from typing import Any

from controller.admission import devices, metadata, probes
from controller.admission import volumes as volumes_of
from controller.cluster_config import ClusterConfig
from tidegate.contracts import names, problems, serving
from tidegate.contracts.config.features import Features
from tidegate.contracts.problems import FieldProblem

Object = dict[str, Any]

_DISALLOWED = ("lifecycle", "stdin", "stdinOnce", "tty", "volumeDevices")
_NOT_IN_INIT = ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle")
_RESERVED_ENV = ("PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION")
_SECURITY_FIELDS = frozenset(
    {
        "runAsUser",
        "runAsGroup",
        "runAsNonRoot",
        "readOnlyRootFilesystem",
        "capabilities",
        "allowPrivilegeEscalation",
        "seccompProfile",
        "privileged",
    }
)
_MAX_INT32 = 2**31 - 1
_IMAGE = re.compile(
    r"(?:[A-Za-z0-9.-]+(?::\d+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[\w][\w.-]{0,127})?(?:@[a-z0-9]+:[0-9a-f]{32,})?"
)
_ENV_SOURCES = ("configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef")


def validate_all(
    spec: Object, volumes: dict[str, Object], config: ClusterConfig
) -> tuple[set[str], list[FieldProblem]]:
    """Return the names of mounted volumes, and what is wrong; paths are relative to the spec."""
    containers, inits = spec.get("containers") or [], spec.get("initContainers") or []
    features = config.features
    found = _count(containers, inits, features)
    serving = [index for index, container in enumerate(containers) if container.get("ports")]
    seen: set[str] = set()
    for index, container in enumerate(containers):
        is_serving = len(containers) == 1 or index in serving
        inner = _container(container, volumes, features) + _name(container, seen)
        inner += _env(container, features, may_set_port=not is_serving)
        inner += probes.validate(container, features, is_serving=is_serving)
        found += problems.at_index("containers", index, inner)
    for index, container in enumerate(inits):
        inner = _container(container, volumes, features) + _name(container, seen)
        inner += _env(container, features, may_set_port=True)
        inner += [
            FieldProblem("field not allowed in an init container", (field,))
            for field in _NOT_IN_INIT
            if container.get(field) is not None
        ]
        found += problems.at_index("initContainers", index, inner)
    mounted = {
        str(mount.get("name", ""))
        for container in [*containers, *inits]
        for mount in container.get("volumeMounts") or []
    }
    return mounted, found


def _count(containers: list[Object], inits: list[Object], features: Features) -> list[FieldProblem]:
    if not containers:
        return [problems.missing("containers")]
    found = []
    ports = sum(len(container.get("ports") or []) for container in containers)
    if len(containers) > 1 and not features.is_enabled("multi-container"):
        found.append(FieldProblem(f"multi-container is off, but found {len(containers)} containers"))
    if ports > 1:
        details = "Only a single port is allowed across all containers"
        found.append(FieldProblem("more than one container port is set", ("containers[*].ports",), details))
    if len(containers) > 1 and not ports:
        found.append(problems.missing("containers[*].ports"))
    if inits and not features.is_enabled("kubernetes.podspec-init-containers"):
        text = f"pod spec support for init-containers is off, but found {len(inits)} init containers"
        found.append(FieldProblem(text))
    return found


def _name(container: Object, seen: set[str]) -> list[FieldProblem]:
    name = str(container.get("name") or "")
    found = []
    if name == names.QUEUE_CONTAINER:
        found.append(FieldProblem(f'"{name}" is a reserved container name', ("name",)))
    if name in seen:
        found.append(FieldProblem(f'duplicate container name "{name}"', ("name",)))
    if not metadata.is_label_1123(name):
        found.append(problems.invalid(name, "name"))
    seen.add(name)
    return found


def _container(container: Object, volumes: dict[str, Object], features: Features) -> list[FieldProblem]:
    refused = sorted(field for field in _DISALLOWED if container.get(field))
    found = [problems.disallowed(*refused)] if refused else []
    image = container.get("image")
    if not image:
        found.append(problems.missing("image"))
    elif not _IMAGE.fullmatch(image):
        found.append(FieldProblem("Failed to parse image reference", ("image",), f'image: "{image}"'))
    for port in container.get("ports") or []:
        found += problems.under("ports", _port(port))  # without an index: there is one at the most
    policy = container.get("terminationMessagePolicy")
    if policy not in (None, "", "File", "FallbackToLogsOnError"):
        found.append(problems.invalid(policy, "terminationMessagePolicy"))
    found += volumes_of.validate_mounts(container.get("volumeMounts") or [], volumes, features)
    found += devices.validate(container)
    return found + problems.under("securityContext", _security(container.get("securityContext") or {}, features))


def _port(port: Object) -> list[FieldProblem]:
    found = []
    number = port.get("containerPort") or 0
    refused = sorted(field for field in ("hostPort", "hostIP") if port.get(field))
    if refused:
        found.append(problems.disallowed(*refused))
    if not 0 <= number <= 65535:
        found.append(problems.out_of_bounds(number, 0, 65535, "containerPort"))
    elif number in names.RESERVED_PORTS:
        text = f"{number} is a reserved port"
        found.append(problems.invalid(text, "containerPort", f"{text}, please use a different value"))
    if port.get("protocol") not in (None, "", "TCP"):
        found.append(problems.invalid(port["protocol"], "protocol"))
    if port.get("name") not in (None, "", *serving.PORT_NAMES):
        text = f"Port name {port['name']} is not allowed"
        found.append(FieldProblem(text, ("",), "Name must be empty, or one of: 'grpc', 'h2c', 'http1'"))
    return found


def _env(container: Object, features: Features, *, may_set_port: bool) -> list[FieldProblem]:
    found: list[FieldProblem] = []
    reserved = [name for name in _RESERVED_ENV if not (may_set_port and name == "PORT")]
    for index, entry in enumerate(container.get("env") or []):
        name = entry.get("name")
        inner: list[FieldProblem] = []
        if not name:
            inner.append(problems.missing("name"))
        elif name in reserved:
            inner.append(FieldProblem(f'"{name}" is a reserved environment variable', ("name",)))
        inner += problems.under("valueFrom", _env_source(entry.get("valueFrom"), features))
        found += problems.at_index("env", index, inner)
    for index, entry in enumerate(container.get("envFrom") or []):
        sources = [source for source in ("configMapRef", "secretRef") if entry.get(source) is not None]
        if len(sources) != 1:
            wording = problems.expected_one_got_both if sources else problems.expected_one_got_neither
            found += problems.at_index("envFrom", index, [wording("configMapRef", "secretRef")])
    return found


def _env_source(source: Object | None, features: Features) -> list[FieldProblem]:
    if source is None:
        return []
    allowed = _ENV_SOURCES if features.is_permitted("kubernetes.podspec-fieldref") else _ENV_SOURCES[:2]
    refused = sorted(key for key in source if source[key] is not None and key not in allowed)
    return [problems.disallowed(*refused)] if refused else []


def _security(context: Object, features: Features) -> list[FieldProblem]:
    refused = sorted(key for key in context if key not in _SECURITY_FIELDS)
    added = (context.get("capabilities") or {}).get("add")
    if added and not features.is_permitted("kubernetes.containerspec-addcapabilities"):
        refused.append("capabilities.add")
    if context.get("privileged"):
        refused.append("privileged")
    found = [problems.disallowed(*sorted(refused))] if refused else []
    for key in ("runAsUser", "runAsGroup"):
        value = context.get(key)
        if value is not None and not 0 <= value <= _MAX_INT32:
            found.append(problems.out_of_bounds(value, 0, _MAX_INT32, key))
    return found
