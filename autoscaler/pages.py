"""The admin pages on decisions (the latest of every revision, the remembered ones of one) and on wakes."""

from __future__ import annotations

from typing import Protocol

import msgspec

from autoscaler import explain
from autoscaler.demand import Key
from autoscaler.history import is_alike
from autoscaler.loop import Loop
from autoscaler.wakes import Wakes
from tidegate.contracts import buckets
from tidegate.contracts.decision import Decision
from tidegate.process.admin import Handler, Page, json_page

ELSEWHERE = "Elsewhere"
LATEST_LIMIT = 1000
"""Revisions on the page of all; more is what metrics are for."""


class Holders(Protocol):
    """Who decides for what is not ours."""

    def is_ours(self, key: Key) -> bool:
        """Whether we decide."""
        ...

    def holder_of(self, key: Key) -> str:
        """Return the identity of who does, empty for nobody."""
        ...


def decisions_page(loop: Loop, holders: Holders) -> Handler:
    """Return the handler of `/decisions` and `/decisions/<namespace>/<revision>` (newest last).

    What another replica decides is answered with 421 and the name of its pod.
    """

    def answer(path: str, _query: dict[str, str]) -> Page:
        if not path:
            awake = list(loop.slots)[:LATEST_LIMIT]
            asleep = (key for key, _spec in loop.roster.asleep(LATEST_LIMIT - len(awake)))
            found = (loop.latest(key) for key in (*awake, *asleep))
            return json_page([explain.explain(decision) for decision in found if decision is not None])
        namespace, _, name = path.partition("/")
        key = (namespace, name)
        if loop.roster.is_known(key):
            return json_page([explain.explain(decision) for decision in _told(loop, key)])
        if not holders.is_ours(key):
            return _elsewhere(holders, key)
        return Page(404, f"no revision {name!r} in namespace {namespace!r} is autoscaled here\n".encode())

    return answer


def wakes_page(wakes: Wakes, holders: Holders) -> Handler:
    """Return the handler of `/wakes/<namespace>/<revision>` (newest last); 421 as for decisions."""

    def answer(path: str, _query: dict[str, str]) -> Page:
        namespace, _, name = path.partition("/")
        if not name:
            return Page(404, b"write /wakes/<namespace>/<revision>\n")
        key = (namespace, name)
        return json_page(wakes.of(key)) if holders.is_ours(key) else _elsewhere(holders, key)

    return answer


def _elsewhere(holders: Holders, key: Key) -> Page:
    holder = holders.holder_of(key)
    known = {"reason": ELSEWHERE, "message": buckets.pod_in(holder)}
    return json_page(known, 421) if holder else Page(503, b"nobody decides now\n")


def _told(loop: Loop, key: Key) -> list[Decision]:
    """Return what is remembered of a revision, and what would be decided now as the last."""
    told, now = loop.history.of(key), loop.latest(key)
    if now is None:
        return told
    if told and is_alike(told[-1], now):
        patched = msgspec.structs.replace(now, patched_unix_s=told[-1].patched_unix_s, is_poked=told[-1].is_poked)
        return [*told[:-1], patched]
    return [*told, now]
