"""`tidegate.dev/rollout: recreate`: the old revision's pods go before the new one's come, for whom there is room once.

Pure. Where each revision holds a GPU and there is no second one, a new revision would wait for ever for pods of the old
that stay until it is ready. With this annotation on its template all traffic goes to the new revision while it starts:
its requests are held, as from zero, and the old one, of which nobody asks anything any more, goes to zero. A revision
that turns out not to start gives the traffic back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.contracts import autoscaling_annotations as keys
from tidegate.contracts import autoscaling_extensions as extensions
from tidegate.contracts import conditions, names, problems, serving
from tidegate.contracts.problems import FieldProblem

Object = Mapping[str, Any]

ANNOTATION = extensions.PREFIX + "rollout"
RECREATE, ROLLING = "recreate", "rolling"
ALL_PERCENT = 100
UNSCHEDULABLE = "Unschedulable"

LEAVING = {
    keys.WINDOW[0]: "6s",
    keys.POD_RETENTION[0]: "0s",
    extensions.LAST_POD_DELAY: "0s",
    keys.PROGRESS_DEADLINE: "1s",
}
"""How a revision that gives way scales: to zero as soon as the shortest window knows that nothing runs on it."""


def is_recreate(revision: Object) -> bool:
    """Whether a revision comes after its predecessor's pods have gone, and goes before its successor's come."""
    return (revision["metadata"].get("annotations") or {}).get(ANNOTATION) == RECREATE


def successor(configuration: Object, revisions: Mapping[str, dict[str, Any]], percent: int) -> str:
    """Return the latest created revision where it has all traffic before it is ready, else an empty name.

    `percent` is the share of the target that follows the Configuration: with less than all of it both revisions have
    to run, so there nothing is taken over. The revision must have been looked at, for then it can be woken.
    """
    status = configuration.get("status") or {}
    created, ready = str(status.get("latestCreatedRevisionName") or ""), status.get("latestReadyRevisionName")
    found = revisions.get(created)
    if percent != ALL_PERCENT or not ready or found is None or created == ready or not is_recreate(found):
        return ""
    return created if conditions.is_observed(found) and not has_given_up(found) else ""


def has_given_up(revision: Object) -> bool:
    """Whether a revision that is not ready will not become so: it has failed otherwise than by lack of room so far."""
    if not conditions.is_failed(revision):
        return False
    active = conditions.find(revision, "Active") or {}
    lacks_room = (conditions.find(revision, "ResourcesAvailable") or {}).get("reason") == UNSCHEDULABLE
    return not lacks_room or active.get("status") == conditions.FALSE


def has_handed_back(revision: Object) -> bool:
    """Whether a revision gave its traffic back: whoever still waits for it keeps its predecessor's place taken."""
    labels = revision["metadata"].get("labels") or {}
    is_released = labels.get(names.ROUTING_STATE_LABEL) == serving.ROUTING_RESERVE
    return is_released and is_recreate(revision) and has_given_up(revision)


def check(annotations: Mapping[str, str]) -> list[FieldProblem]:
    """Return what is wrong with the annotation."""
    value = annotations.get(ANNOTATION, ROLLING)
    return [] if value in (RECREATE, ROLLING) else [problems.invalid(value, ANNOTATION)]
