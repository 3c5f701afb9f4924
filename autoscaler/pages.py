"""The admin pages on decisions: the latest of every revision, and the remembered ones of one."""

from __future__ import annotations

from collections.abc import Mapping

from autoscaler.demand import Key
from autoscaler.loop import Revision
from tidegate.process.admin import Handler, Page, json_page


def decisions_page(revisions: Mapping[Key, Revision]) -> Handler:
    """Return the handler of `/decisions` and `/decisions/<namespace>/<revision>` (newest last)."""

    def answer(path: str, _query: dict[str, str]) -> Page:
        if not path:
            return json_page([one.decision for one in revisions.values() if one.decision is not None])
        namespace, _, name = path.partition("/")
        revision = revisions.get((namespace, name))
        if revision is None:
            return Page(404, f"no revision {name!r} in namespace {namespace!r} is autoscaled here\n".encode())
        return json_page(list(revision.ring))

    return answer
