"""Pod or activator: a table of situations."""

from __future__ import annotations

import pytest

from gateway.pick import Backend, pick
from tidegate.contracts.decision import ServingMode
from tidegate.wire.balance import Balancer

POD, OTHER, ACTIVATOR = ("10.0.0.1", 8012), ("10.0.0.2", 8012), ("10.0.9.1", 8012)
SERVE, PROXY = ServingMode.SERVE, ServingMode.PROXY


def group(*addresses, limit=0, busy=0):
    balancer = Balancer(limit)
    balancer.replace(addresses)
    for _ in range(busy):
        balancer.take(0.0)
    return balancer


@pytest.mark.parametrize(
    ("mode", "pods", "activators", "expected"),
    [
        (SERVE, group(POD), group(ACTIVATOR), POD),
        (SERVE, group(), group(ACTIVATOR), ACTIVATOR),
        (SERVE, group(POD, limit=1, busy=1), group(ACTIVATOR), ACTIVATOR),
        (SERVE, group(POD, OTHER, limit=1, busy=1), group(ACTIVATOR), OTHER),
        (SERVE, group(), group(), None),
        (PROXY, group(POD), group(ACTIVATOR), ACTIVATOR),
        (PROXY, group(POD), group(), POD),
        (PROXY, group(), group(), None),
        (PROXY, group(POD, limit=1, busy=1), group(), None),
    ],
)
def test_situations(mode, pods, activators, expected):
    before = pods.in_flight + activators.in_flight
    picked = pick(Backend(mode, pods), activators, 0.0)
    assert (picked.address if picked else None) == expected
    assert pods.in_flight + activators.in_flight == before + (picked is not None)
    if picked:
        picked.group.give_back(picked.address)


def test_an_unknown_revision_is_cold_and_proxied():
    assert Backend().is_cold
    assert Backend().mode is PROXY
