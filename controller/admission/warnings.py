"""What is allowed but worth a word: warnings that kubectl shows beside its success."""

from __future__ import annotations

from typing import Any

from tidegate.contracts import names, problems
from tidegate.contracts.config.features import DISABLED, Features
from tidegate.contracts.problems import FieldProblem

Object = dict[str, Any]

INSECURE = "Kubernetes default value is insecure, Knative may default this to secure in a future release"
PERCENTAGE = (
    f"{names.SIDECAR_PERCENTAGE_ANNOTATION} is deprecated: write "
    f"{names.SIDECAR}cpu-resource-request, {names.SIDECAR}memory-resource-request and the like"
)


def of(obj: Object, features: Features) -> list[str]:
    """Return the warnings for a Service or Configuration that somebody writes by hand, one line each.

    Who has written `secure-pod-defaults: Disabled` into config-features has decided, and hears nothing of unsafe
    security contexts; where the key is absent they are warned of, as by Knative.
    """
    if obj["kind"] not in ("Service", "Configuration") or obj["metadata"].get("ownerReferences"):
        return []
    template = (obj.get("spec") or {}).get("template") or {}
    spec = template.get("spec") or {}
    found: list[FieldProblem] = []
    pod = spec.get("securityContext") or {}
    is_decided = features.flags.get("secure-pod-defaults") == DISABLED
    for field in () if is_decided else ("containers", "initContainers"):
        for index, container in enumerate(spec.get(field) or []):
            inner = _security(pod, container.get("securityContext") or {})
            found += problems.at_index(field, index, problems.under("securityContext", inner))
    lines = problems.render(problems.under("spec.template.spec", found)).splitlines()
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    return lines + ([PERCENTAGE] if names.SIDECAR_PERCENTAGE_ANNOTATION in annotations else [])


def _security(pod: Object, context: Object) -> list[FieldProblem]:
    unset = []
    if pod.get("runAsNonRoot") is None and context.get("runAsNonRoot") is None:
        unset.append("runAsNonRoot")
    if context.get("allowPrivilegeEscalation") is None:
        unset.append("allowPrivilegeEscalation")
    profiles = [one.get("seccompProfile") for one in (pod, context)]
    if profiles == [None, None]:
        unset.append("seccompProfile")
    elif not any((profile or {}).get("type") for profile in profiles):
        unset.append("seccompProfile.type")
    capabilities = context.get("capabilities")
    if capabilities is None:
        unset.append("capabilities")
    elif capabilities.get("drop") is None:
        unset.append("capabilities.drop")
    found = [FieldProblem(INSECURE, (path,)) for path in unset]
    if ((capabilities or {}).get("drop") or [""])[0] == "all":
        found.append(FieldProblem("invalid value: all (Must be spelled as 'ALL')", ("capabilities.drop",)))
    return found
