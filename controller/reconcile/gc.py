"""Which revisions without traffic are deleted: oldest first, by age since creation and since they last had traffic.

Never the latest ready one, never one that is routed, never one whose annotation exempts it.
"""

from __future__ import annotations

from collections.abc import Sequence

from controller.reconcile.outcome import Object
from tidegate.contracts import conditions, names, serving
from tidegate.contracts.config.retention import Retention

NO_GC_ANNOTATION = names.SERVING + "no-gc"


def surplus(configuration: Object, revisions: Sequence[Object], retention: Retention, now_unix: float) -> list[Object]:
    """Return the revisions of a Configuration to delete now."""
    if _is_disabled(retention) or len(revisions) <= retention.min_non_active:
        return []
    latest_ready = (configuration.get("status") or {}).get("latestReadyRevisionName")
    idle = [revision for revision in revisions if _is_candidate(revision, latest_ready)]
    room = len(idle) - retention.min_non_active
    if room <= 0:
        return []
    idle.sort(key=_last_active)
    stale = [revision for revision in idle if _is_stale(revision, retention, now_unix)][:room]
    left = [revision for revision in idle if revision not in stale]
    if retention.max_non_active is not None and len(left) > retention.max_non_active:
        stale += left[: len(left) - retention.max_non_active]
    return stale


def _is_disabled(retention: Retention) -> bool:
    limits = (retention.max_non_active, retention.since_create_s, retention.since_last_active_s)
    return all(limit is None for limit in limits)


def _is_candidate(revision: Object, latest_ready: str | None) -> bool:
    if revision["metadata"]["name"] == latest_ready or revision["metadata"].get("deletionTimestamp"):
        return False
    annotations = revision["metadata"].get("annotations") or {}
    if annotations.get(NO_GC_ANNOTATION, "").lower() == "true":
        return False
    return serving.routing_state(revision) == serving.ROUTING_RESERVE


def _is_stale(revision: Object, retention: Retention, now_unix: float) -> bool:
    if retention.since_create_s is None and retention.since_last_active_s is None:
        return False
    created, active = _created(revision), _last_active(revision)
    is_old = retention.since_create_s is None or now_unix - created > retention.since_create_s
    is_unused = retention.since_last_active_s is None or now_unix - active > retention.since_last_active_s
    return is_old and is_unused


def _created(revision: Object) -> float:
    return conditions.parse_timestamp(revision["metadata"]["creationTimestamp"])


def _last_active(revision: Object) -> float:
    text = (revision["metadata"].get("annotations") or {}).get(names.ROUTING_STATE_MODIFIED_ANNOTATION, "")
    try:
        return conditions.parse_timestamp(text)
    except ValueError:
        return _created(revision)
