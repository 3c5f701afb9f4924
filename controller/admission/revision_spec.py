"""A Revision's spec: bounds, the pod-level fields that are allowed, volumes; containers have a file of their own."""

from __future__ import annotations

from typing import Any

from controller.admission import containers, metadata, sidecar
from controller.admission import volumes as volumes_of
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
_POD_SECURITY_FIELDS = frozenset(
    {
        "runAsUser",
        "runAsGroup",
        "runAsNonRoot",
        "fsGroup",
        "fsGroupChangePolicy",
        "supplementalGroups",
        "seccompProfile",
        "sysctls",
    }
)
_MAX_INT32 = 2**31 - 1


def validate(spec: Object, config: ClusterConfig) -> list[FieldProblem]:
    """Return what is wrong with a Revision's spec; paths are relative to it."""
    volumes = {str(volume.get("name", "")): volume for volume in spec.get("volumes") or []}
    mounted, found = containers.validate_all(spec, volumes, config)
    return [
        *_bounds(spec, config),
        *_service_account(spec),
        *_pod_fields(spec, config.features),
        *problems.under("securityContext", _security(spec.get("securityContext") or {})),
        *volumes_of.validate(spec.get("volumes") or [], mounted, config.features),
        *found,
    ]


def validate_annotated(values: dict[str, str], config: ClusterConfig) -> list[FieldProblem]:
    """Return what is wrong with a template's (or Revision's) annotations; paths are the keys."""
    found = [
        *validate_annotations(values, config.autoscaler),
        *sidecar.validate(values),
        *recreate.check(values),
    ]
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
        "and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
        r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
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


def _security(context: Object) -> list[FieldProblem]:
    refused = sorted(key for key in context if key not in _POD_SECURITY_FIELDS)
    found = [problems.disallowed(*refused)] if refused else []
    for key in ("runAsUser", "runAsGroup", "fsGroup"):
        value = context.get(key)
        if value is not None and not 0 <= value <= _MAX_INT32:
            found.append(problems.out_of_bounds(value, 0, _MAX_INT32, key))
    for index, value in enumerate(context.get("supplementalGroups") or []):
        if not 0 <= value <= _MAX_INT32:
            out = problems.out_of_bounds(value, 0, _MAX_INT32, "")
            found += problems.at_index("supplementalGroups", index, [out])
    return found


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
