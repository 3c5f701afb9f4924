"""InferenceService → a Knative Service for each component and the Route that carries its own name.

What the pieces mean is in `controller.inference`; this file puts them in order: read, choose, compile, compare, tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controller.inference import canary, component, runtimes, status, template
from controller.inference.canary import Rollout
from controller.inference.component import Component
from controller.inference.runtimes import Refusal
from controller.reconcile import metadata
from controller.reconcile.outcome import Action, Apply, Delete, Object, Outcome
from controller.reconcile.service import API_VERSION
from tidegate.contracts import conditions, names
from tidegate.contracts.conditions import Conditions

STOP_ANNOTATION = template.GROUP + "stop"


@dataclass(frozen=True)
class Observed:
    """An InferenceService, its Knative Services by component, its Route, and what it may choose from."""

    inference_service: Object
    services: Mapping[str, Object] = field(default_factory=dict)
    route: Object | None = None
    revisions: Mapping[str, Object] = field(default_factory=dict)
    namespace_runtimes: Sequence[Object] = ()
    cluster_runtimes: Sequence[Object] = ()
    refusal: str = ""
    agent_image: str = template.AGENT_IMAGE


def reconcile(observed: Observed, now_unix: float) -> Outcome:
    """Return what one InferenceService needs."""
    owner = observed.inference_service
    parts = component.read_all(owner)
    state = Conditions(status.condition_set([part.kind for part in parts]), owner, now_unix)
    if _is_stopped(owner):
        return _stopped(observed, state)
    state.mark_false("Stopped", "Running")
    said = {key: value for key, value in (owner.get("status") or {}).items() if key != "components"}
    said["components"] = {}
    actions = _surplus(observed, parts)
    for part in parts:
        actions += _take(observed, part, said, state)
    entry = next((part for part in parts if part.kind == component.TRANSFORMER), parts[0])
    actions += _take_route(observed, entry, said, state)
    return _outcome(owner, actions, said, state)


def _take(observed: Observed, part: Component, said: Object, state: Conditions) -> list[Action]:
    owner, condition = observed.inference_service, status.ready_of(part.kind)
    service = observed.services.get(part.kind)
    before = Rollout.of(((owner.get("status") or {}).get("components") or {}).get(part.kind))
    name = template.service_name(owner["metadata"]["name"], part.kind)
    if metadata.is_foreign(service, owner):
        state.mark_false(condition, "NotOwned", metadata.not_owned("Service", name))
        return []
    rollout = canary.after(before, service)
    said["components"][part.kind] = status.of_component(rollout, service)
    runtime = _runtime(observed, part)
    if isinstance(runtime, Refusal):
        state.mark_false(condition, runtime.reason, runtime.message)
        said["modelStatus"] = status.of_refusal(runtime, said.get("modelStatus"))
        return []
    tags = metadata.own_annotations(owner).get(template.TAG_ROUTING_ANNOTATION, "").lower() == "true"
    split = canary.traffic(part.canary_percent, rollout, tags=tags)
    wanted = template.knative_service(owner, part, runtime, split, observed.agent_image)
    if why := template.unserved(part, wanted):
        state.mark_false(condition, "NotServed", why)
        return []
    is_new = metadata.needs_apply(service, wanted)
    if is_new and observed.refusal:
        state.mark_false(condition, "ServiceRefused", observed.refusal)
    elif service is None or is_new:
        state.mark_unknown(condition)
    elif not conditions.is_observed(service):
        state.mark_unknown(condition, "OutOfDate", "The Service is still working to reflect the latest specification.")
    else:
        state.copy(condition, conditions.find(service))
    if part.kind == component.PREDICTOR:
        created, ready = observed.revisions.get(rollout.created), observed.revisions.get(rollout.ready)
        said["modelStatus"] = status.of_model(created, ready)
    return [Apply(wanted)] if is_new else []


def _runtime(observed: Observed, part: Component) -> Object | Refusal | None:
    if part.model is None:
        return None
    found = runtimes.choose(part.model, observed.namespace_runtimes, observed.cluster_runtimes)
    if isinstance(found, Refusal) or (found.get("spec") or {}).get("containers"):
        return found
    return Refusal(runtimes.INVALID, f"ServingRuntime {found['metadata']['name']!r} has no containers")


def _take_route(observed: Observed, entry: Component, said: Object, state: Conditions) -> list[Action]:
    owner, existing = observed.inference_service, observed.route
    name = owner["metadata"]["name"]
    service = observed.services.get(entry.kind)
    if metadata.is_foreign(existing, owner):
        state.mark_false("IngressReady", "NotOwned", metadata.not_owned("Route", name))
        return []
    if service is None or metadata.is_foreign(service, owner):
        state.mark_unknown("IngressReady")
        return []
    block = (service.get("spec") or {}).get("traffic") or []
    head = metadata.child(
        owner,
        API_VERSION,
        "Route",
        name,
        labels=metadata.own_labels(owner) | {template.SERVICE_LABEL: name},
        annotations=_explained_by(observed),
    )
    wanted = metadata.stamped(head | {"spec": {"traffic": canary.without_tags(block, service["metadata"]["name"])}})
    for key in ("url", "address"):
        if found := ((existing or {}).get("status") or {}).get(key):
            said[key] = found
    if metadata.needs_apply(existing, wanted):
        state.mark_unknown("IngressReady")
        return [Apply(wanted)]
    state.copy("IngressReady", conditions.find(existing))
    return []


def _explained_by(observed: Observed) -> dict[str, str]:
    """Return what tells the gateway where `:explain` goes under the common host, once there is somebody to answer."""
    service = observed.services.get(component.EXPLAINER)
    is_there = service is not None and component.read(observed.inference_service, component.EXPLAINER) is not None
    return {names.EXPLAINER_ANNOTATION: service["metadata"]["name"]} if service is not None and is_there else {}


def _surplus(observed: Observed, parts: list[Component]) -> list[Action]:
    """Return deletions of components that are asked for no more."""
    wanted = {part.kind for part in parts}
    return [
        Delete(service)
        for kind, service in observed.services.items()
        if kind not in wanted and not metadata.is_foreign(service, observed.inference_service)
    ]


def _is_stopped(owner: Object) -> bool:
    return metadata.own_annotations(owner).get(STOP_ANNOTATION, "").lower() == "true"


def _stopped(observed: Observed, state: Conditions) -> Outcome:
    owner = observed.inference_service
    children = [*observed.services.values(), *([observed.route] if observed.route else [])]
    actions: list[Action] = [Delete(one) for one in children if not metadata.is_foreign(one, owner)]
    state.mark_true("Stopped")
    for kind in state.dependents:
        state.mark_false(kind, "Stopped", "The InferenceService is stopped by its annotation.")
    kept = {key: value for key, value in (owner.get("status") or {}).items() if key == "components"}
    return _outcome(owner, actions, kept, state)


def _outcome(owner: Object, actions: list[Action], said: Object, state: Conditions) -> Outcome:
    said |= {"observedGeneration": owner["metadata"].get("generation", 0), "conditions": state.finish()}
    return Outcome(tuple(actions), said)
