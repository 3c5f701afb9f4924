"""Pod or activator? Where one request of a revision goes.

Pure. In mode Serve it goes to the ready pod with the fewest requests in flight that has room; when there is none, and
in mode Proxy, through an activator, which holds it. With no activator left, a ready pod is better than an error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gateway.affinity import Sessions, share_limit
from tidegate.contracts.decision import ServingMode
from tidegate.wire.balance import Address, Balancer

SERVE: Final = ServingMode.SERVE  # looked up once: on the class each look-up costs as much as a call


@dataclass(slots=True)
class Backend:
    """What the gateway knows of one revision: the autoscaler's serving mode and the ready pods; sessions when asked
    for; `secure` are the pods that are spoken to in TLS."""

    mode: ServingMode = ServingMode.PROXY
    pods: Balancer = field(default_factory=Balancer)
    sessions: Sessions | None = None
    secure: frozenset[Address] = frozenset()

    @property
    def is_cold(self) -> bool:
        """Whether no pod is ready."""
        return not self.pods.addresses


class Pick:
    """Where a request goes; `group` is where it is counted."""

    __slots__ = ("address", "group")

    def __init__(self, address: Address, group: Balancer) -> None:
        self.address = address
        self.group = group


def pick(backend: Backend, activators: Balancer, now: float, wish: Address | None = None) -> Pick | None:
    """Count the request on a pod or an activator and return which; None when neither can take it.

    `wish`: the pod of the request's session. A revision with sessions has its ready pods picked here in every mode, for
    an activator would seat them anywhere.
    """
    first, second = backend.pods, activators
    if backend.sessions is not None:
        if wish is not None and first.take_this(wish, now, share_limit(first.in_flight, len(first.addresses))):
            return Pick(wish, first)
    elif backend.mode is not SERVE:
        first, second = second, first
    address = first.take(now)
    if address is not None:
        return Pick(address, first)
    address = second.take(now)
    return None if address is None else Pick(address, second)
