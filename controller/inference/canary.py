"""Which revisions of a component get which share of its traffic, and what counts as rolled out.

Pure. The user edits one number, `canaryTrafficPercent`; the controller remembers the last revision that had all traffic
(the base). The base moves only when a ready revision has 100 %, so edits during a canary keep it, 0 pins it, and
taking the number away promotes the latest.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.reconcile.outcome import Object

PREVIOUS_TAG, LATEST_TAG = "prev", "latest"
ALL = 100


@dataclass(frozen=True)
class Rollout:
    """What a component's status remembers: names of revisions, empty when there is none."""

    created: str = ""
    ready: str = ""
    rolled_out: str = ""
    previous: str = ""

    @classmethod
    def of(cls, status: Object | None) -> Rollout:
        """Read `status.components.<kind>`."""
        status = status or {}
        return cls(
            str(status.get("latestCreatedRevision") or ""),
            str(status.get("latestReadyRevision") or ""),
            str(status.get("latestRolledoutRevision") or ""),
            str(status.get("previousRolledoutRevision") or ""),
        )

    def as_status(self) -> Object:
        """Return the fields of `status.components.<kind>`."""
        found = {
            "latestCreatedRevision": self.created,
            "latestReadyRevision": self.ready,
            "latestRolledoutRevision": self.rolled_out,
            "previousRolledoutRevision": self.previous,
        }
        return {key: value for key, value in found.items() if value}


def traffic(percent: int | None, rollout: Rollout, *, tags: bool) -> list[Object]:
    """Return the traffic block of the Knative Service. `percent` is None without a canary; `tags` names the latest.

    Base and latest may be the same revision: the next edit must find the split in place, since a new revision gets the
    latest's share at the moment it is ready.
    """
    if percent is None or percent == ALL or not rollout.rolled_out:
        return [{"latestRevision": True, "percent": ALL}]
    latest: Object = {"latestRevision": True, "percent": percent}
    if tags:
        latest["tag"] = LATEST_TAG
    base = {
        "revisionName": rollout.rolled_out,
        "latestRevision": False,
        "percent": ALL - percent,
        "tag": PREVIOUS_TAG,
    }
    return [latest, base]


def without_tags(block: list[Object], configuration: str) -> list[Object]:
    """Return the same shares for a Route of another name: by Configuration, and with no tags, whose hosts are taken."""
    found = []
    for entry in block:
        kept = {key: value for key, value in entry.items() if key != "tag"}
        found.append(kept if kept.get("revisionName") else kept | {"configurationName": configuration})
    return found


def after(rollout: Rollout, service: Object | None) -> Rollout:
    """Return what to remember now that the Knative Service's status says so."""
    status = (service or {}).get("status") or {}
    created = str(status.get("latestCreatedRevisionName") or rollout.created)
    ready = str(status.get("latestReadyRevisionName") or rollout.ready)
    rolled_out, previous = rollout.rolled_out, rollout.previous
    shares = {
        str(entry.get("revisionName")): int(entry.get("percent") or 0)
        for entry in status.get("traffic") or []
        if entry.get("latestRevision")
    }
    if ready and shares.get(ready) == ALL and ready != rolled_out:
        previous, rolled_out = rolled_out, ready
    return Rollout(created, ready, rolled_out, previous)
