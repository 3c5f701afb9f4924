"""Names, annotations and labels of the object itself, and of the template in it."""

from __future__ import annotations

import re
from typing import Any

from tidegate.contracts import durations, names, problems, session_affinity, wake
from tidegate.contracts.problems import FieldProblem

Object = dict[str, Any]

_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_PREFIX = re.compile(r"[a-z][-a-z0-9]*")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
LENGTH_RULE = f"must be no more than {names.NAME_LIMIT} characters"
NETWORKING = "networking.knative.dev/"
_NETWORKING_ALLOWED = frozenset(
    NETWORKING + key
    for key in (
        "ingress.class",
        "ingress-class",
        "certificate.class",
        "certificate-class",
        "disableAutoTLS",
        "disable-auto-tls",
        "disable-external-domain-tls",
        "httpOption",
        "http-protocol",
    )
)
_ROLLOUT_KEYS = (names.ROLLOUT_DURATION_ANNOTATION, names.SERVING + "rolloutDuration")
AUTOSCALING_ADVICE = 'autoscaling annotations must be put under "spec.template.metadata.annotations" to work'


def validate(obj: Object, old: Object | None, *, allows_autoscaling: bool = False) -> list[FieldProblem]:
    """Return what is wrong with an object's metadata; paths begin with `metadata`."""
    metadata = obj.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    found = _name(metadata)
    if not allows_autoscaling:
        found += [
            problems.invalid_key(key, "annotations", AUTOSCALING_ADVICE)
            for key in sorted(annotations)
            if key.startswith(names.AUTOSCALING)
        ]
    return problems.under("metadata", found) + users_of(obj, old)


def users_of(obj: Object, old: Object | None) -> list[FieldProblem]:
    """Return what is wrong with the annotations that say who made and who changed an object that nobody owns."""
    if old is None or (obj.get("metadata") or {}).get("ownerReferences"):
        return []
    return problems.under("metadata", _users(obj, old))


def rollout(obj: Object) -> list[FieldProblem]:
    """Return what is wrong with the rollout annotation of a Service or Route."""
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    found = []
    for key in _ROLLOUT_KEYS:
        if key in annotations:
            found += problems.under("metadata.annotations", _rollout(key, annotations[key]))
    return found


def parent_label(obj: Object, label: str, parent_kind: str) -> list[FieldProblem]:
    """Return a problem when a label names a parent that does not own the object."""
    metadata = obj.get("metadata") or {}
    named = (metadata.get("labels") or {}).get(label)
    if named is None:
        return []
    owners = metadata.get("ownerReferences") or []
    if any(owner.get("kind") == parent_kind and owner.get("name") == named for owner in owners):
        return []
    return [problems.missing(f"metadata.labels.{label}")]


def template(obj: Object, old: Object | None) -> list[FieldProblem]:
    """Return what is wrong with the metadata of a Service's or Configuration's template."""
    inner = ((obj.get("spec") or {}).get("template") or {}).get("metadata") or {}
    found: list[FieldProblem] = []
    if name := inner.get("name"):
        found += _template_name(str(name), obj.get("metadata") or {}, is_create=old is None)
    if (prefix := inner.get("generateName")) and not _PREFIX.fullmatch(str(prefix)):
        found.append(problems.invalid(f"not a DNS 1035 label prefix: [{LABEL_RULE}]", "metadata.generateName"))
    for key in sorted(inner.get("annotations") or {}):
        if key.startswith(NETWORKING) and key not in _NETWORKING_ALLOWED:
            found.append(problems.invalid_key(key, "metadata.annotations"))
        elif key == session_affinity.ANNOTATION:
            found += problems.under("metadata.annotations", _session_affinity(str(inner["annotations"][key])))
        elif key == wake.ANNOTATION:
            found += problems.under("metadata.annotations", _wake_timing(str(inner["annotations"][key])))
    return problems.under("spec.template", found)


def label_problems(name: str) -> list[str]:
    """Return why a text is not a DNS-1035 label, as Kubernetes words it."""
    found = [] if len(name) <= names.NAME_LIMIT else [LENGTH_RULE]
    return found if _LABEL.fullmatch(name) else [*found, LABEL_RULE]


def is_label_1123(name: str) -> bool:
    """Whether a text is a DNS-1123 label."""
    return len(name) <= names.NAME_LIMIT and _LABEL_1123.fullmatch(name) is not None


def is_subdomain(name: str) -> bool:
    """Whether a text is a DNS-1123 subdomain."""
    return len(name) <= 253 and _SUBDOMAIN.fullmatch(name) is not None


def _name(metadata: Object) -> list[FieldProblem]:
    name, prefix = metadata.get("name"), metadata.get("generateName")
    if name:
        reasons = label_problems(str(name))
        return [FieldProblem(f"not a DNS 1035 label: {_listed(reasons)}", ("name",))] if reasons else []
    if prefix:
        if _PREFIX.fullmatch(str(prefix)):
            return []
        return [FieldProblem(f"not a DNS 1035 label prefix: {_listed([LABEL_RULE])}", ("generateName",))]
    return [FieldProblem("name or generateName is required", ("name",))]


def _users(obj: Object, old: Object) -> list[FieldProblem]:
    new_annotations = obj["metadata"].get("annotations") or {}
    old_annotations = (old.get("metadata") or {}).get("annotations") or {}
    found = []
    key = names.CREATOR_ANNOTATION
    if new_annotations.get(key) != old_annotations.get(key):
        found.append(FieldProblem("annotation value is immutable", (f"annotations.{key}",)))
    key = names.LAST_MODIFIER_ANNOTATION
    is_modifier_changed = new_annotations.get(key) != old_annotations.get(key)
    if is_modifier_changed and obj.get("spec") == old.get("spec"):
        found.append(problems.invalid(new_annotations.get(key, ""), f"annotations.{key}"))
    return found


def _session_affinity(text: str) -> list[FieldProblem]:
    try:
        session_affinity.parse(text)
    except ValueError:
        return [problems.invalid(text, session_affinity.ANNOTATION, "write cookie, or header: and a header's name")]
    return []


def _wake_timing(text: str) -> list[FieldProblem]:
    try:
        wake.parse_enabled(text)
    except ValueError:
        return [problems.invalid(text, wake.ANNOTATION, f"write {wake.ON} or {wake.OFF}")]
    return []


def _rollout(key: str, text: str) -> list[FieldProblem]:
    try:
        seconds = durations.parse_duration(text)
    except ValueError:
        return [problems.invalid(text, key)]
    if seconds != int(seconds):
        return [FieldProblem(f"rollout-duration={text} is not at second precision", (key,))]
    return [FieldProblem(f"rollout-duration={text} must be positive", (key,))] if seconds < 0 else []


def _template_name(name: str, parent: Object, *, is_create: bool) -> list[FieldProblem]:
    if not parent.get("name") or (is_create and parent.get("generateName")):
        return [problems.disallowed("metadata.name")]
    found = []
    if reasons := label_problems(name):
        found.append(problems.invalid(f"not a DNS 1035 label: {_listed(reasons)}", "metadata.name"))
    prefix = f"{parent['name']}-"
    if not name.startswith(prefix):
        found.append(FieldProblem(f'invalid value: "{name}" must have prefix "{prefix}"', ("metadata.name",)))
    return found


def _listed(reasons: list[str]) -> str:
    return f"[{' '.join(reasons)}]"
