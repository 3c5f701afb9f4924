"""IngressReady of a Route or a DomainMapping: True once every ready gateway has the table that its status tells.

What gateways read of an object is its table. One that differs from what is stored is written with IngressReady Unknown;
what is stored and was once everywhere stays True, since a gateway that comes later lists before it listens. Reason and
message are those of Knative's ingresses.
"""

from __future__ import annotations

from collections.abc import Hashable
from urllib.parse import urlsplit

from controller.reconcile.outcome import Object
from tidegate.contracts import conditions, names
from tidegate.contracts.conditions import Conditions

INGRESS = "IngressReady"
UNINITIALIZED = "Uninitialized"
WAITING = "Waiting for load balancer to be ready"

Table = tuple[Hashable, ...]


def mark(state: Conditions, *, is_new: bool, obstacle: str) -> bool:
    """Set IngressReady; returns whether the gateways are to be awaited.

    `is_new`: the table is not the stored one. `obstacle`: why the gateways do not have the stored object, empty when
    they have.
    """
    is_everywhere = not is_new and (state.before(INGRESS)["status"] == conditions.TRUE or not obstacle)
    if is_everywhere:
        state.mark_true(INGRESS)
    else:
        state.mark_unknown(INGRESS, UNINITIALIZED, WAITING if is_new else obstacle)
    return not is_everywhere


def table_of_route(status: Object) -> Table:
    """Return what gateways read of a Route's status: hosts, shares and whether clear text is redirected."""
    rows = tuple(
        (row.get("tag", ""), _host(row.get("url", "")), row.get("revisionName", ""), int(row.get("percent") or 0))
        for row in status.get("traffic") or ()
    )
    return (_host(status.get("url", "")) if rows else "", rows, _is_redirected(status))


def table_of_mapping(status: Object) -> Table:
    """Return what gateways read of a DomainMapping's status."""
    return ((status.get("annotations") or {}).get(names.MAPPED_TO_ANNOTATION, ""), _is_redirected(status))


def _is_redirected(status: Object) -> bool:
    annotations = status.get("annotations") or {}
    return bool(annotations.get(names.HTTP_PROTOCOL_ANNOTATION) == names.REDIRECTED)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
