"""A Revision's spec: bounds, the pod-level fields that are allowed, volumes; containers have a file of their own."""

from __future__ import annotations

from typing import Any

from controller.admission import containers, metadata
from controller.cluster_config import ClusterConfig
from tidegate.contracts import durations, problems, recreate
from tidegate.contracts.autoscaling import validate_annotations
from tidegate.contracts.config.features import Features
from tidegate.contracts.problems import FieldProblem

Object = dict[str, Any]

PROGRESS_DEADLINE_ANNOTATION = "serving.knative.dev/progress-deadline"
_POD = "kubernetes.podspec-"
_GATED_FIELDS = {
    "affinity": "affinity",
    "topologySpreadConstraints": "topologyspreadconstraints",
    "hostAliases": "hostaliases",
    "nodeSelector": "nodeselector",
    "runtimeClassName": "runtimeclassname",
    "tolerations": "tolerations",
    "securityContext": "securitycontext",
    "shareProcessNamespace": "shareprocessnamespace",
    "priorityClassName": "priorityclassname",
    "schedulerName": "schedulername",
    "dnsPolicy": "dnspolicy",
    "dnsConfig": "dnsconfig",
    "hostIPC": "hostipc",
    "hostPID": "hostpid",
    "hostNetwork": "hostnetwork",
}
_NEVER = (
    "restartPolicy",
    "terminationGracePeriodSeconds",
    "activeDeadlineSeconds",
    "nodeName",
    "hostname",
    "subdomain",
    "priority",
    "readinessGates",
    "ephemeralContainers",
    "overhead",
)
_VOLUME_SOURCES = {
    "secret": "",
    "configMap": "",
    "projected": "",
    "emptyDir": _POD + "volumes-emptydir",
    "persistentVolumeClaim": _POD + "persistent-volume-claim",
    "hostPath": _POD + "volumes-hostpath",
    "csi": _POD + "volumes-csi",
    "ephemeral": _POD + "volumes-ephemeral",
    "image": _POD + "volumes-image",
}


def validate(spec: Object, config: ClusterConfig) -> list[FieldProblem]:
    """Return what is wrong with a Revision's spec; paths are relative to it."""
    volumes = {str(volume.get("name", "")): volume for volume in spec.get("volumes") or []}
    mounted, found = containers.validate_all(spec, volumes, config)
    return [
        *_bounds(spec, config),
        *_service_account(spec),
        *_pod_fields(spec, config.features),
        *_volumes(spec.get("volumes") or [], mounted, config.features),
        *found,
    ]


def validate_annotated(values: dict[str, str], config: ClusterConfig) -> list[FieldProblem]:
    """Return what is wrong with a template's (or Revision's) annotations; paths are the keys."""
    found = [*validate_annotations(values, config.autoscaler), *recreate.check(values)]
    text = values.get(PROGRESS_DEADLINE_ANNOTATION)
    if text is not None:
        found += _progress_deadline(text)
    return found


def _bounds(spec: Object, config: ClusterConfig) -> list[FieldProblem]:
    found = []
    limits = config.defaults
    timeout = spec.get("timeoutSeconds")
    if timeout and not 0 <= timeout <= limits.max_timeout_s:
        found.append(problems.out_of_bounds(timeout, 0, limits.max_timeout_s, "timeoutSeconds"))
    concurrency = spec.get("containerConcurrency")
    low, high = 0 if limits.is_concurrency_zero_allowed else 1, limits.container_concurrency_limit
    if concurrency is not None and not low <= concurrency <= high:
        found.append(problems.out_of_bounds(concurrency, low, high, "containerConcurrency"))
    return found


def _service_account(spec: Object) -> list[FieldProblem]:
    name = spec.get("serviceAccountName")
    if not name or metadata.is_subdomain(name):
        return []
    rule = (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
        "and must start and end with an alphanumeric character"
    )
    return [problems.invalid(name, "serviceAccountName", rule)]


def _pod_fields(spec: Object, features: Features) -> list[FieldProblem]:
    refused = [field for field in _NEVER if field in spec]
    refused += [
        field for field, flag in _GATED_FIELDS.items() if field in spec and not features.is_permitted(_POD + flag)
    ]
    if spec.get("automountServiceAccountToken") is True:
        refused.append("automountServiceAccountToken")
    return [problems.disallowed(*sorted(refused))] if refused else []


def _volumes(volumes: list[Object], mounted: set[str], features: Features) -> list[FieldProblem]:
    found: list[FieldProblem] = []
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        name = str(volume.get("name") or "")
        inner = _volume(volume, name, features)
        if name in seen:
            inner.append(FieldProblem(f'duplicate volume name "{name}"', ("name",)))
        if name not in mounted:
            inner.append(FieldProblem(f'volume with name "{name}" not mounted', ("name",)))
        seen.add(name)
        found += problems.at_index("volumes", index, inner)
    return found


def _volume(volume: Object, name: str, features: Features) -> list[FieldProblem]:
    found = [] if metadata.is_label_1123(name) else [problems.invalid(name, "name")]
    sources = [key for key in volume if key != "name" and volume[key] is not None]
    allowed = [key for key in sources if key in _VOLUME_SOURCES and _is_source_allowed(key, features)]
    refused = [key for key in sources if key not in allowed]
    if refused:
        found.append(problems.disallowed(*sorted(refused)))
    elif not allowed:
        found.append(problems.missing("configMap", "projected", "secret"))
    elif len(allowed) > 1:
        found.append(problems.expected_one_got_both(*sorted(allowed)))
    return found


def _is_source_allowed(source: str, features: Features) -> bool:
    flag = _VOLUME_SOURCES[source]
    return not flag or features.is_enabled(flag)


def _progress_deadline(text: str) -> list[FieldProblem]:
    try:
        seconds = durations.parse_duration(text)
    except ValueError:
        return [problems.invalid(text, PROGRESS_DEADLINE_ANNOTATION)]
    if seconds != int(seconds):
        return [FieldProblem(f"progress-deadline={text} is not at second precision", (PROGRESS_DEADLINE_ANNOTATION,))]
    if seconds < 0:
        return [FieldProblem(f"progress-deadline={text} must be positive", (PROGRESS_DEADLINE_ANNOTATION,))]
    return []
