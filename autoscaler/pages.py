"""The admin pages on decisions: the latest of every revision, and the remembered ones of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from autoscaler.demand import Key
from autoscaler.loop import Revision
from tidegate.contracts import buckets
from tidegate.process.admin import Handler, Page, json_page

ELSEWHERE = "Elsewhere"


class Holders(Protocol):
    """Who decides for what is not ours."""

    def is_ours(self, key: Key) -> bool:
        """Whether we decide."""
        ...

    def holder_of(self, key: Key) -> str:
        """Return the identity of who does, empty for nobody."""
        ...


def decisions_page(revisions: Mapping[Key, Revision], holders: Holders) -> Handler:
    """Return the handler of `/decisions` and `/decisions/<namespace>/<revision>` (newest last).

    What another replica decides is answered with 421 and the name of its pod.
    """

    def answer(path: str, _query: dict[str, str]) -> Page:
        if not path:
            return json_page([one.decision for one in revisions.values() if one.decision is not None])
        namespace, _, name = path.partition("/")
        revision = revisions.get((namespace, name))
        if revision is None and not holders.is_ours((namespace, name)):
            holder = holders.holder_of((namespace, name))
            return (
                json_page({"reason": ELSEWHERE, "message": buckets.pod_in(holder)}, 421)
                if holder
                else Page(503, b"nobody decides now\n")
            )
        if revision is None:
            return Page(404, f"no revision {name!r} in namespace {namespace!r} is autoscaled here\n".encode())
        return json_page(list(revision.ring))

    return answer
