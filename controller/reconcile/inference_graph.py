"""InferenceGraph → the Knative Service of its router, once every InferenceService that it names is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.inference import graph
from controller.reconcile import metadata
from controller.reconcile.inference_service import STOP_ANNOTATION
from controller.reconcile.outcome import Action, Apply, Delete, Object, Outcome
from tidegate.contracts import conditions, inference_graph, problems
from tidegate.contracts.conditions import Conditions, ConditionSet

RESOLVED, ROUTER = "ServicesResolved", "RouterReady"
KINDS = ConditionSet((RESOLVED, ROUTER))


@dataclass(frozen=True)
class Observed:
    """An InferenceGraph, its router's Service, the InferenceServices of its namespace that it names."""

    graph: Object
    router: Object | None = None
    services: Mapping[str, Object] = field(default_factory=dict)
    image: str = ""
    refusal: str = ""


def reconcile(observed: Observed, now_unix: float) -> Outcome:
    """Return what one InferenceGraph needs. A graph that lost a service keeps its router as it was."""
    owner = observed.graph
    state = Conditions(KINDS, owner, now_unix)
    said: Object = {}
    for key in ("url", "address"):
        if found := ((observed.router or {}).get("status") or {}).get(key):
            said[key] = found
    actions = _take(observed, state)
    said |= {"observedGeneration": owner["metadata"].get("generation", 0), "conditions": state.finish()}
    return Outcome(tuple(actions), said)


def _take(observed: Observed, state: Conditions) -> list[Action]:
    owner, router = observed.graph, observed.router
    if metadata.is_foreign(router, owner):
        state.mark_true(RESOLVED)
        state.mark_false(ROUTER, "NotOwned", metadata.not_owned("Service", owner["metadata"]["name"]))
        return []
    if metadata.own_annotations(owner).get(STOP_ANNOTATION, "").lower() == "true":
        for kind in KINDS.dependents:
            state.mark_false(kind, "Stopped", "The InferenceGraph is stopped by its annotation.")
        return [Delete(router)] if router is not None else []
    if found := graph.validate(owner):
        state.mark_false(RESOLVED, "InvalidSpec", problems.render(found))
        return []
    missing = sorted(inference_graph.service_names(owner["spec"]["nodes"]) - set(observed.services))
    if missing:
        text = f"There is no InferenceService {', '.join(missing)} in this namespace."
        state.mark_false(RESOLVED, "ServiceNotFound", text)
        return []
    asleep = sorted(name for name, each in observed.services.items() if not (each.get("status") or {}).get("url"))
    if asleep and router is None:
        text = f"InferenceService {', '.join(asleep)} has no address yet."
        state.mark_unknown(RESOLVED, "ServiceNotReady", text)
        return []
    state.mark_true(RESOLVED)
    wanted = graph.knative_service(owner, observed.services, observed.image)
    is_new = metadata.needs_apply(router, wanted)
    if is_new and observed.refusal:
        state.mark_false(ROUTER, "ServiceRefused", observed.refusal)
    elif router is None or is_new:
        state.mark_unknown(ROUTER)
    elif not conditions.is_observed(router):
        state.mark_unknown(ROUTER, "OutOfDate", "The Service is still working to reflect the latest specification.")
    else:
        state.copy(ROUTER, conditions.find(router))
    return [Apply(wanted)] if is_new else []
