"""The traffic block of a Service or Route."""

from __future__ import annotations

from typing import Any

from controller.admission import metadata
from tidegate.contracts import problems
from tidegate.contracts.problems import FieldProblem

Object = dict[str, Any]


def validate(targets: list[Object], *, in_service: bool) -> list[FieldProblem]:
    """Return what is wrong; paths begin with `spec.traffic`."""
    found: list[FieldProblem] = []
    for index, target in enumerate(targets):
        inner = _names(target, in_service=in_service) + _latest(target) + _percent(target)
        if target.get("url"):
            inner.append(problems.disallowed("url"))
        found += problems.at_index("traffic", index, inner)
        if (tag := target.get("tag")) and (reasons := metadata.label_problems(tag)):
            # The path is odd, and it is Knative's.
            text = f"invalid value: not a DNS 1035 label: [{' '.join(reasons)}]"
            found.append(FieldProblem(text, (f"traffic.tag[{index}]",)))
    found += _repeated_tags(targets)
    total = sum(int(target.get("percent") or 0) for target in targets)
    if total != 100:
        found.append(FieldProblem(f"Traffic targets sum to {total}, want 100", ("traffic",)))
    return problems.under("spec", found)


def _names(target: Object, *, in_service: bool) -> list[FieldProblem]:
    revision, configuration = target.get("revisionName"), target.get("configurationName")
    found = []
    if revision and metadata.label_problems(revision):
        found.append(problems.invalid_key(revision, "revisionName"))
    if in_service:
        return found + ([problems.disallowed("configurationName")] if configuration else [])
    if revision and configuration:
        found.append(problems.expected_one_got_both("revisionName", "configurationName"))
    elif not revision and not configuration:
        found.append(problems.expected_one_got_neither("revisionName", "configurationName"))
    elif configuration and metadata.label_problems(configuration):
        found.append(problems.invalid_key(configuration, "configurationName"))
    return found


def _latest(target: Object) -> list[FieldProblem]:
    latest, revision = target.get("latestRevision"), target.get("revisionName") or ""
    if latest is None or bool(latest) != bool(revision):
        return []
    text = f'may not set revisionName "{revision}" when latestRevision is {str(bool(latest)).lower()}'
    return [FieldProblem(text, ("latestRevision",))]


def _percent(target: Object) -> list[FieldProblem]:
    percent = target.get("percent") or 0
    return [] if 0 <= percent <= 100 else [problems.out_of_bounds(percent, 0, 100, "percent")]


def _repeated_tags(targets: list[Object]) -> list[FieldProblem]:
    places: dict[str, list[int]] = {}
    for index, target in enumerate(targets):
        if target.get("tag"):
            places.setdefault(target["tag"], []).append(index)
    return [
        FieldProblem(f'Multiple definitions for "{tag}"', tuple(f"traffic[{index}].tag" for index in indexes))
        for tag, indexes in places.items()
        if len(indexes) > 1
    ]
