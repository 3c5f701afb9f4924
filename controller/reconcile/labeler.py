"""Which revisions are routed, written on Revisions and Configurations as label and annotations.

A revision that drops out of a route is released only when the route has settled (Ready or Failed): otherwise the old
revision would scale down in the middle of a switch.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.reconcile.outcome import Merge, Object
from tidegate.contracts import conditions, names, serving


def plan(
    route: str,
    wanted_revisions: Iterable[Object],
    wanted_configurations: Iterable[Object],
    marked: Iterable[Object],
    *,
    may_release: bool,
    now_unix: float,
) -> list[Merge]:
    """Return the patches that mark what `route` refers to, and release what it no longer does.

    `marked` are the Revisions and Configurations that carry the route's name now.
    """
    revisions, configurations = list(wanted_revisions), list(wanted_configurations)
    patches = [_claim_revision(revision, route, now_unix) for revision in revisions]
    patches += [_claim(configuration, route) for configuration in configurations]
    if may_release:
        kept = {_identity(obj) for obj in [*revisions, *configurations]}
        patches += [_release(obj, route, now_unix) for obj in marked if _identity(obj) not in kept]
    return [patch for patch in patches if patch is not None]


def _claim_revision(revision: Object, route: str, now_unix: float) -> Merge | None:
    routes = serving.routes_of(revision) | {route}
    labels = revision["metadata"].get("labels") or {}
    is_active = labels.get(names.ROUTING_STATE_LABEL) == serving.ROUTING_ACTIVE
    if is_active and route in serving.routes_of(revision):
        return None
    return _patch(revision, routes, None if is_active else serving.ROUTING_ACTIVE, now_unix)


def _claim(configuration: Object, route: str) -> Merge | None:
    routes = serving.routes_of(configuration)
    return None if route in routes else _patch(configuration, routes | {route}, None, 0.0)


def _release(obj: Object, route: str, now_unix: float) -> Merge | None:
    routes = serving.routes_of(obj) - {route}
    is_last = not routes and obj["kind"] == "Revision"
    return _patch(obj, routes, serving.ROUTING_RESERVE if is_last else None, now_unix)


def _patch(obj: Object, routes: set[str], state: str | None, now_unix: float) -> Merge:
    annotations: dict[str, str | None] = {names.ROUTES_ANNOTATION: ",".join(sorted(routes)) or None}
    metadata: Object = {"annotations": annotations}
    if state is not None:
        metadata["labels"] = {names.ROUTING_STATE_LABEL: state}
        annotations[names.ROUTING_STATE_MODIFIED_ANNOTATION] = conditions.timestamp(now_unix)
    return Merge(obj, {"metadata": metadata})


def _identity(obj: Object) -> tuple[str, str]:
    return obj["kind"], obj["metadata"]["name"]
