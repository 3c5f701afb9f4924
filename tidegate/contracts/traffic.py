"""A Route's traffic block, resolved: which concrete revisions get which share, or why nothing may change.

All targets are looked at. One bad target freezes the route on its last good state; a definite failure is told before
one that may pass by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.contracts import conditions, names, recreate

Object = Mapping[str, Any]

FOLLOWED = "configurationName"

Spread = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
"""From resolved entries to those that are routed."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a target cannot be routed to; `status` is that of AllTrafficAssigned: False is final, Unknown may pass."""

    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where targets are found: objects of the route's namespace by name."""

    configurations: Mapping[str, dict[str, Any]]
    revisions: Mapping[str, dict[str, Any]]


@dataclass(frozen=True)
class Resolution:
    """`traffic` is what Route.status.traffic says, without URLs; empty when there is an obstacle."""

    traffic: tuple[dict[str, Any], ...]
    obstacle: Obstacle | None = None


def resolve(route: Object, lookup: Lookup, url_of_tag: Callable[[str], str], spread: Spread = list) -> Resolution:
    """Return the traffic that a Route's spec asks for; `url_of_tag` gives a tag's URL, `spread` may split entries.

    `spread` is given the entries with the `configurationName` that they follow; this is not in the result.
    """
    resolved: list[dict[str, Any]] = []
    obstacle: Obstacle | None = None
    for target in (route.get("spec") or {}).get("traffic") or []:
        found = _resolve_target(target, route, lookup)
        if isinstance(found, Obstacle):
            if obstacle is None or (obstacle.status != conditions.FALSE and found.status == conditions.FALSE):
                obstacle = found
        else:
            resolved.append(found)
    if obstacle is not None:
        return Resolution((), obstacle)
    return Resolution(tuple(_with_url(entry, url_of_tag) for entry in _merged(spread(resolved))))


def referenced(route: Object, lookup: Lookup) -> tuple[set[str], set[str]]:
    """Return the names of the Revisions and Configurations that a Route's spec and status refer to.

    For targets that follow the latest revision this includes the latest created one, so that it counts as routed
    before it is ready.
    """
    revisions: set[str] = set()
    configurations: set[str] = set()
    for target in _entries(route, "spec") + _entries(route, "status"):
        if name := target.get("configurationName"):
            configurations.add(name)
            revisions |= _latest_of(lookup.configurations.get(name), lookup, int(target.get("percent") or 0))
        elif name := target.get("revisionName"):
            revisions.add(name)
            owner = _configuration_of(lookup.revisions.get(name))
            configurations |= {owner} if owner else set()
    return revisions, configurations


def is_migrated(route: Object, latest_ready: str) -> bool:
    """Whether a Route's status carries what its spec asks for, `latest_ready` being its Configuration's."""
    wanted, actual = _entries(route, "spec"), _entries(route, "status")
    if len(wanted) != len(actual):
        return False
    return all(
        _shape(want, latest_ready) == _shape(have, latest_ready) for want, have in zip(wanted, actual, strict=True)
    )


def _shape(target: Object, latest_ready: str) -> tuple[str, str, int]:
    revision = latest_ready if target.get("configurationName") else target.get("revisionName", "")
    return str(target.get("tag") or ""), str(revision), int(target.get("percent") or 0)


def _entries(route: Object, section: str) -> list[Object]:
    return list((route.get(section) or {}).get("traffic") or [])


def _latest_of(configuration: Object | None, lookup: Lookup, percent: int) -> set[str]:
    if configuration is None:
        return set()
    if name := recreate.successor(configuration, lookup.revisions, percent):
        return {name}  # its predecessor is not routed any more: it has to go first
    status = configuration.get("status") or {}
    created, ready = status.get("latestCreatedRevisionName"), status.get("latestReadyRevisionName")
    failed = lookup.revisions.get(str(created))
    if ready and failed is not None and recreate.is_recreate(failed) and recreate.has_given_up(failed):
        return {str(ready)}  # what failed must let its place go for who comes back
    return {str(name) for name in (created, ready) if name}


def _configuration_of(revision: Object | None) -> str:
    if revision is None:
        return ""
    return str((revision["metadata"].get("labels") or {}).get(names.CONFIGURATION_LABEL, ""))


def _resolve_target(target: Object, route: Object, lookup: Lookup) -> dict[str, Any] | Obstacle:
    percent = int(target.get("percent") or 0)
    is_taken_over = False
    if target.get("configurationName"):
        found = lookup.configurations.get(target["configurationName"])
        taken_over = recreate.successor(found, lookup.revisions, percent) if found is not None else ""
        is_taken_over = bool(taken_over)
        name = taken_over or _latest_ready(target["configurationName"], lookup)
        if isinstance(name, Obstacle):
            return name
        revision = lookup.revisions.get(name)
        if revision is None:
            return _missing("Revision", name)
    else:
        name = str(target.get("revisionName") or "")
        revision = lookup.revisions.get(name)
        obstacle = _check_revision(name, revision, route)
        if obstacle is not None:
            return obstacle
    entry = {"revisionName": name, "latestRevision": bool(target.get("configurationName"))}
    if entry["latestRevision"] and not is_taken_over:  # nothing is spread over what does not run beside each other
        entry[FOLLOWED] = target["configurationName"]
    return entry | {"percent": percent} | ({"tag": target["tag"]} if target.get("tag") else {})


def _latest_ready(configuration: str, lookup: Lookup) -> str | Obstacle:
    found = lookup.configurations.get(configuration)
    if found is None:
        return _missing("Configuration", configuration)
    if name := (found.get("status") or {}).get("latestReadyRevisionName"):
        return str(name)
    ready = conditions.find(found)
    if ready is not None and ready["status"] == conditions.FALSE:
        text = f'Configuration "{configuration}" does not have any ready Revision.'
        return Obstacle(conditions.FALSE, "RevisionMissing", text)
    text = f'Configuration "{configuration}" is waiting for a Revision to become ready.'
    return Obstacle(conditions.UNKNOWN, "RevisionMissing", text)


def _check_revision(name: str, revision: Object | None, route: Object) -> Obstacle | None:
    if revision is None:
        return _missing("Revision", name)
    service = (route["metadata"].get("labels") or {}).get(names.SERVICE_LABEL)
    owner = (revision["metadata"].get("labels") or {}).get(names.SERVICE_LABEL)
    if service and owner != service:
        text = f'Revision "{name}" does not belong to Service "{service}".'
        return Obstacle(conditions.FALSE, "RevisionNotOwned", text)
    if conditions.is_ready(revision):
        return None
    if conditions.is_failed(revision):
        return Obstacle(conditions.FALSE, "RevisionMissing", f'Revision "{name}" failed to become ready.')
    return Obstacle(conditions.UNKNOWN, "RevisionMissing", f'Revision "{name}" is not yet ready.')


def _missing(kind: str, name: str) -> Obstacle:
    return Obstacle(conditions.FALSE, f"{kind}Missing", f'{kind} "{name}" referenced in traffic not found.')


def _merged(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for entry in entries:
        key = (entry.get("tag", ""), entry["revisionName"], entry["latestRevision"])
        if key in merged:
            merged[key]["percent"] += entry["percent"]
        else:
            merged[key] = {name: value for name, value in entry.items() if name != FOLLOWED}
    return list(merged.values())


def _with_url(entry: dict[str, Any], url_of_tag: Callable[[str], str]) -> dict[str, Any]:
    return entry | ({"url": url_of_tag(entry["tag"])} if entry.get("tag") else {})
