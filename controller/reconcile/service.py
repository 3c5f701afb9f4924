"""Service → Configuration + Route, and their conditions seen as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.reconcile import metadata
from controller.reconcile.outcome import Action, Apply, Object, Outcome
from tidegate.contracts import conditions, names, serving, traffic
from tidegate.contracts.conditions import Conditions

API_VERSION = "serving.knative.dev/v1"
OUT_OF_DATE = "OutOfDate"


@dataclass(frozen=True)
class Observed:
    """A Service, its children by name, and the Revision that its template names (if it names one)."""

    service: Object
    configuration: Object | None = None
    route: Object | None = None
    named_revision: Object | None = None


def reconcile(observed: Observed, now_unix: float) -> Outcome:
    """Return what one Service needs."""
    service = observed.service
    state = Conditions(conditions.SERVICE, service, now_unix)
    status = dict(service.get("status") or {})
    actions: list[Action] = []
    if metadata.is_foreign(observed.configuration, service):
        text = metadata.not_owned("Configuration", service["metadata"]["name"])
        state.mark_false("ConfigurationsReady", "NotOwned", text)
        return _outcome(service, actions, status, state)
    wanted = configuration(service, observed.configuration)
    if metadata.needs_apply(observed.configuration, wanted):
        actions.append(Apply(wanted))
    is_current = _take_configuration(observed, wanted, status, state)
    if not is_current and _template_name(service):
        # With a name of the user's choosing the Route would look for a Revision that is not there yet, and flap.
        return _outcome(service, actions, status, state)
    _take_route(observed, actions, status, state)
    return _outcome(service, actions, status, state)


def configuration(service: Object, existing: Object | None) -> Object:
    """Return the Configuration that a Service asks for."""
    labels = metadata.own_labels(service) | {
        names.SERVICE_LABEL: service["metadata"]["name"],
        names.SERVICE_UID_LABEL: service["metadata"]["uid"],
    }
    annotations = metadata.own_annotations(
        service, without=(metadata.LAST_APPLIED_ANNOTATION, *metadata.ROLLOUT_ANNOTATIONS)
    )
    routes = {service["metadata"]["name"]} | (serving.routes_of(existing) if existing else set())
    annotations[names.ROUTES_ANNOTATION] = ",".join(sorted(routes))
    head = metadata.child(
        service, API_VERSION, "Configuration", service["metadata"]["name"], labels=labels, annotations=annotations
    )
    return metadata.stamped(head | {"spec": {"template": service["spec"].get("template") or {}}})


def route(service: Object) -> Object:
    """Return the Route that a Service asks for."""
    name = service["metadata"]["name"]
    head = metadata.child(
        service,
        API_VERSION,
        "Route",
        name,
        labels=metadata.own_labels(service) | {names.SERVICE_LABEL: name},
        annotations=metadata.own_annotations(service),
    )
    return metadata.stamped(
        head | {"spec": {"traffic": [_target(entry, name) for entry in service["spec"].get("traffic") or []]}}
    )


def _target(entry: Object, service_name: str) -> Object:
    return dict(entry) if entry.get("revisionName") else entry | {"configurationName": service_name}


def _template_name(service: Object) -> str:
    template = service["spec"].get("template") or {}
    return str((template.get("metadata") or {}).get("name") or "")


def _take_configuration(observed: Observed, wanted: Object, status: Object, state: Conditions) -> bool:
    existing = observed.configuration
    if existing is None:
        state.mark_unknown("ConfigurationsReady")
        return False
    child_status = existing.get("status") or {}
    for key in ("latestCreatedRevisionName", "latestReadyRevisionName"):
        if child_status.get(key):
            status[key] = child_status[key]
        else:
            status.pop(key, None)
    if _is_behind(observed.service, existing, wanted, state.before("ConfigurationsReady")):
        state.mark_unknown(
            "ConfigurationsReady",
            OUT_OF_DATE,
            "The Configuration is still working to reflect the latest desired specification.",
        )
        return False
    state.copy("ConfigurationsReady", conditions.find(existing))
    return True


def _take_route(observed: Observed, actions: list[Action], status: Object, state: Conditions) -> None:
    service, existing = observed.service, observed.route
    if metadata.is_foreign(existing, service):
        state.mark_false("RoutesReady", "NotOwned", metadata.not_owned("Route", service["metadata"]["name"]))
        return
    if _is_name_taken(observed):
        text = f'Revision name "{_template_name(service)}" is taken by another Configuration.'
        state.mark_false("RoutesReady", "RevisionNameTaken", text)
        return
    wanted = route(service)
    is_changed = metadata.needs_apply(existing, wanted)
    if is_changed:
        actions.append(Apply(wanted))
    if existing is None:
        state.mark_unknown("RoutesReady")
        return
    child_status = existing.get("status") or {}
    for key in ("url", "address", "traffic"):
        if child_status.get(key):
            status[key] = child_status[key]
        else:
            status.pop(key, None)
    if _is_behind(service, existing, wanted, state.before("RoutesReady")):
        state.mark_unknown(
            "RoutesReady", OUT_OF_DATE, "The Route is still working to reflect the latest desired specification."
        )
    elif conditions.is_ready(existing) and not traffic.is_migrated(existing, _latest_ready(observed)):
        state.mark_unknown("RoutesReady", "TrafficNotMigrated", "Traffic is not yet migrated to the latest revision.")
    else:
        state.copy("RoutesReady", conditions.find(existing))


def _is_behind(service: Object, child: Object, wanted: Object, before: Mapping[str, Any]) -> bool:
    """Whether a child does not yet show what its Service asks for.

    A child that has only to lose something, a tag or an annotation, contains all that is asked for: its digest tells.
    That counts for a new generation until it is done; at other times only labels differ, and Ready must not flap.
    """
    if not conditions.is_observed(child) or not metadata.contains(child.get("spec"), wanted["spec"]):
        return True
    seen = (service.get("status") or {}).get("observedGeneration")
    is_new = seen != service["metadata"].get("generation") or before.get("reason") == OUT_OF_DATE
    return is_new and metadata.needs_apply(child, wanted)


def _is_name_taken(observed: Observed) -> bool:
    revision = observed.named_revision
    if revision is None:
        return False
    owner = metadata.own_labels(revision).get(names.CONFIGURATION_LABEL)
    return owner != str(observed.service["metadata"]["name"])


def _latest_ready(observed: Observed) -> str:
    status = (observed.configuration or {}).get("status") or {}
    return str(status.get("latestReadyRevisionName") or "")


def _outcome(service: Object, actions: list[Action], status: Object, state: Conditions) -> Outcome:
    status |= {"observedGeneration": service["metadata"].get("generation", 0), "conditions": state.finish()}
    return Outcome(tuple(actions), status)
