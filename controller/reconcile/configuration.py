"""Configuration → Revision: stamps one for each generation, and follows which one was created and is ready last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from controller.reconcile import gc, metadata
from controller.reconcile.outcome import Action, Create, Delete, Note, Object, Outcome
from tidegate.contracts import conditions, names, serving
from tidegate.contracts.conditions import READY, Conditions
from tidegate.contracts.config.retention import Retention

API_VERSION = "serving.knative.dev/v1"


@dataclass(frozen=True)
class Observed:
    """A Configuration and its Revisions.

    `named_revision` is whatever Revision has the name that the template asks for; `refused` says why the API server
    refused the last Revision made from this generation.
    """

    configuration: Object
    revisions: Sequence[Object] = field(default_factory=tuple)
    named_revision: Object | None = None
    refused: str = ""


def reconcile(observed: Observed, retention: Retention, now_unix: float) -> Outcome:
    """Return what one Configuration needs."""
    configuration = observed.configuration
    state = Conditions(conditions.CONFIGURATION, configuration, now_unix)
    status = dict(configuration.get("status") or {})
    actions: list[Action] = []
    events: list[Note] = []
    latest = _latest_created(observed)
    if latest is None:
        _create(observed, actions, events, state, now_unix)
    else:
        _follow(observed, latest, status, state)
    if not actions:
        actions += [Delete(old) for old in gc.surplus(configuration, observed.revisions, retention, now_unix)]
    status |= {"observedGeneration": configuration["metadata"].get("generation", 0), "conditions": state.finish()}
    return Outcome(tuple(actions), status, events=tuple(events))


def revision(configuration: Object, now_unix: float) -> Object:
    """Return the Revision that a Configuration's current generation asks for."""
    template = configuration["spec"].get("template") or {}
    own = template.get("metadata") or {}
    labels = dict(own.get("labels") or {}) | _inherited_labels(configuration)
    annotations = dict(own.get("annotations") or {})
    routes = serving.routes_of(configuration)
    labels[names.ROUTING_STATE_LABEL] = serving.ROUTING_ACTIVE if routes else serving.ROUTING_PENDING
    annotations[names.ROUTING_STATE_MODIFIED_ANNOTATION] = conditions.timestamp(now_unix)
    if routes:
        annotations[names.ROUTES_ANNOTATION] = ",".join(sorted(routes))
    modifier = metadata.own_annotations(configuration).get(names.LAST_MODIFIER_ANNOTATION)
    if modifier:
        annotations[names.CREATOR_ANNOTATION] = modifier
    head = metadata.child(
        configuration, API_VERSION, "Revision", revision_name(configuration), labels=labels, annotations=annotations
    )
    return head | {"spec": template.get("spec") or {}}


def revision_name(configuration: Object) -> str:
    """Return the name of the current generation's Revision: the user's choice, else `<name>-00001`."""
    own = (configuration["spec"].get("template") or {}).get("metadata") or {}
    return str(own.get("name") or "") or names.revision_name(
        configuration["metadata"]["name"], configuration["metadata"].get("generation", 1)
    )


def _inherited_labels(configuration: Object) -> dict[str, str]:
    above = metadata.own_labels(configuration)
    labels = {key: above[key] for key in (names.SERVICE_LABEL, names.SERVICE_UID_LABEL) if key in above}
    return labels | {
        names.CONFIGURATION_LABEL: configuration["metadata"]["name"],
        names.CONFIGURATION_UID_LABEL: configuration["metadata"]["uid"],
        names.CONFIGURATION_GENERATION_LABEL: str(configuration["metadata"].get("generation", 1)),
    }


def _latest_created(observed: Observed) -> Object | None:
    configuration = observed.configuration
    named = observed.named_revision
    if named is not None and serving.is_controlled_by(named, configuration):
        is_made_from_this = serving.generation_of(named) == configuration["metadata"].get("generation", 1)
        if is_made_from_this or _has_equal_spec(named, configuration):
            return named
    generation = configuration["metadata"].get("generation", 1)
    return next((found for found in observed.revisions if serving.generation_of(found) == generation), None)


def _has_equal_spec(revision: Object, configuration: Object) -> bool:
    spec = (configuration["spec"].get("template") or {}).get("spec") or {}
    return metadata.contains(revision.get("spec"), spec)


def _create(observed: Observed, actions: list[Action], events: list[Note], state: Conditions, now_unix: float) -> None:
    wanted = revision(observed.configuration, now_unix)
    name = wanted["metadata"]["name"]
    if observed.named_revision is not None:
        refused = f'revisions.serving.knative.dev "{name}" already exists'
    else:
        refused = observed.refused
        actions.append(Create(wanted))
    if refused:
        state.mark_false(READY, "RevisionFailed", f"Revision creation failed with message: {refused}.")
    else:
        events.append(Note("Created", f'Created Revision "{name}"'))
        state.mark_unknown(READY)


def _follow(observed: Observed, latest: Object, status: Object, state: Conditions) -> None:
    name = latest["metadata"]["name"]
    status["latestCreatedRevisionName"] = name
    ready = _latest_ready(observed, latest, status)
    previous = str(status.get("latestReadyRevisionName") or "")
    deleted = previous if not ready and previous else ""
    if ready:
        status["latestReadyRevisionName"] = ready
    if deleted:
        state.mark_false(READY, "RevisionDeleted", f'Revision "{deleted}" was deleted.')
    elif ready == name and conditions.is_ready(latest):
        state.mark_true(READY)
    elif conditions.is_failed(latest):
        message = (conditions.find(latest) or {}).get("message", "")
        state.mark_false(READY, "RevisionFailed", f'Revision "{name}" failed with message: {message}.')
    elif ready == name:
        state.mark_true(READY)  # it was ready before; a passing Unknown of the same revision changes nothing
    else:
        state.mark_unknown(READY)


def _latest_ready(observed: Observed, latest: Object, status: Object) -> str:
    if conditions.is_ready(latest):
        return str(latest["metadata"]["name"])
    previous = str(status.get("latestReadyRevisionName") or "")
    known = {found["metadata"]["name"]: found for found in observed.revisions}
    lowest = serving.generation_of(known[previous]) if previous in known else 0
    highest = observed.configuration["metadata"].get("generation", 1)
    candidates = [
        found
        for found in observed.revisions
        if conditions.is_ready(found) and lowest <= serving.generation_of(found) <= highest
    ]
    if not candidates:
        return previous if previous in known else ""
    return str(max(candidates, key=serving.generation_of)["metadata"]["name"])
