"""Sessions and their pods: stickiness, bounds, and that nothing is told about addresses."""

from __future__ import annotations

from collections import Counter

import pytest

from gateway.affinity import NAME, Sessions, share_limit
from gateway.pick import Backend, pick
from tests.support.heads import make_request
from tidegate.contracts.decision import ServingMode
from tidegate.wire.balance import Address, Balancer

PODS: list[Address] = [(f"10.0.0.{number}", 8012) for number in range(1, 6)]
ACTIVATOR = ("10.0.9.1", 8012)


def sessions(annotation: str = "cookie", secret: bytes = b"uid", pods: list[Address] = PODS) -> Sessions:
    made = Sessions(annotation, secret)
    made.replace(pods)
    return made


def cookie_of(line: bytes) -> str:
    return line.partition(b": ")[2].partition(b";")[0].decode()


async def test_a_cookie_leads_back_to_its_pod_in_every_gateway():
    here, there = sessions(), sessions()
    for pod in PODS:
        line = here.cookie_line(pod, is_secure=False)
        assert line.endswith(b"; Path=/; HttpOnly; SameSite=Lax\r\n")
        assert pod[0].encode() not in line
        assert there.wish(make_request(cookie=f"a=b; {cookie_of(line)}; c=d")) == pod
    assert here.cookie_line(PODS[0], is_secure=True).endswith(b"; Secure\r\n")


async def test_a_cookie_of_another_revision_or_of_a_pod_that_left_is_none():
    cookie = cookie_of(sessions().cookie_line(PODS[0], is_secure=False))
    assert sessions(secret=b"other").wish(make_request(cookie=cookie)) is None
    assert sessions(pods=PODS[1:]).wish(make_request(cookie=cookie)) is None
    for text in ("", "x=1", f"{NAME.decode()}=zz", f"other-{cookie}"):
        assert sessions().wish(make_request(cookie=text)) is None
    assert sessions().wish(make_request()) is None


async def test_a_header_spreads_sessions_evenly_and_few_move():
    before, after = sessions("header:X-User"), sessions("header:X-User", pods=[*PODS, ("10.0.0.6", 8012)])
    requests = [make_request(x_user=f"user-{number}") for number in range(3000)]
    homes = [before.wish(request) for request in requests]
    assert all(500 < count < 700 for count in Counter(homes).values())
    moved = [new for old, new in zip(homes, map(after.wish, requests), strict=True) if old != new]
    assert set(moved) == {("10.0.0.6", 8012)}
    assert len(moved) < 650
    assert before.wish(make_request()) is None
    assert sessions("header:x-user", pods=[]).wish(requests[0]) is None
    assert before.cookie_line(PODS[0], is_secure=False) == b""


@pytest.mark.parametrize(("in_flight", "pods", "expected"), [(0, 3, 8), (99, 5, 25), (100, 5, 26), (5, 0, 8)])
def test_a_pod_may_have_a_quarter_more_than_its_share(in_flight, pods, expected):
    assert share_limit(in_flight, pods) == expected


def test_a_session_is_kept_until_its_pod_is_full():
    backend = Backend(ServingMode.PROXY, Balancer(2), sessions())
    backend.pods.replace(PODS[:2])
    activators = Balancer()
    activators.replace([ACTIVATOR])
    picked = [pick(backend, activators, 0.0, PODS[0]) for _ in range(6)]
    addresses = [found.address for found in picked if found is not None]
    assert addresses == [PODS[0], PODS[0], PODS[1], PODS[1], ACTIVATOR, ACTIVATOR]


def test_a_session_is_passed_over_when_its_pod_has_too_much():
    backend = Backend(ServingMode.SERVE, Balancer(), sessions())
    backend.pods.replace(PODS)
    picked = Counter(pick(backend, Balancer(), 0.0, PODS[0]).address for _ in range(100))  # type: ignore[union-attr]
    assert 20 <= picked[PODS[0]] <= 26
    assert sum(picked.values()) == backend.pods.in_flight == 100
    for address, count in picked.items():
        for _ in range(count):
            backend.pods.give_back(address)
    assert backend.pods.in_flight == 0


def test_a_pod_that_refused_is_not_wished_for():
    backend = Backend(ServingMode.SERVE, Balancer(), sessions())
    backend.pods.replace(PODS[:2])
    backend.pods.eject(PODS[0], 0.0)
    assert pick(backend, Balancer(), 0.0, PODS[0]).address == PODS[1]  # type: ignore[union-attr]
    assert pick(backend, Balancer(), 5.0, PODS[0]).address == PODS[0]  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["", "cookies", "header:", "header:a b", "header:Cookie", "ip"])
def test_other_annotations_are_refused(text):
    with pytest.raises(ValueError, match="neither"):
        Sessions(text, b"")
