"""The balancer: fewest in flight first, limits held, counts right under any script."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tidegate.wire.balance import FIRST_ASIDE_S, LAST_ASIDE_S, Balancer

A, B, C = ("10.0.0.1", 8012), ("10.0.0.2", 8012), ("10.0.0.3", 8012)


def balancer(*addresses, limit=0):
    result = Balancer(limit)
    result.replace(addresses)
    return result


def test_equals_take_turns():
    pods = balancer(A, B, C)
    taken = []
    for _ in range(6):
        address = pods.take(0.0)
        taken.append(address)
        pods.give_back(address)
    assert taken == [A, B, C, A, B, C]


def test_the_least_loaded_is_taken():
    pods = balancer(A, B)
    assert [pods.take(0.0), pods.take(0.0), pods.take(0.0)] == [A, B, A]
    pods.give_back(A)
    pods.give_back(A)
    assert pods.take(0.0) == A


def test_a_limit_holds_per_address():
    pods = balancer(A, B, limit=2)
    assert Counter(pods.take(0.0) for _ in range(5)) == {A: 2, B: 2, None: 1}
    assert pods.free(0.0) == 0
    pods.give_back(B)
    assert pods.free(0.0) == 1
    assert pods.take(0.0) == B


def test_without_limit_free_is_unbounded_or_nothing():
    assert balancer().free(0.0) == 0
    assert balancer(A).free(0.0) is None


def test_an_address_that_left_keeps_its_count_until_its_last_request_ends():
    pods = balancer(A, B)
    pods.take(0.0)
    pods.replace([B])
    assert pods.in_flight_on(A) == 1
    assert pods.take(0.0) == B
    pods.replace([A, B])
    assert pods.in_flight == 2
    pods.give_back(A)
    assert pods.take(0.0) == A


def test_a_refused_address_is_set_aside_for_growing_times():
    pods = balancer(A, B)
    assert pods.take(0.0) == A
    pods.give_back(A)
    assert pods.eject(A, 0.0) == FIRST_ASIDE_S
    assert pods.next_return() == FIRST_ASIDE_S
    assert [pods.take(0.05), pods.take(0.05)] == [B, B]
    assert pods.take(FIRST_ASIDE_S) == A
    assert pods.eject(A, 1.0) == 1.0 + 2 * FIRST_ASIDE_S
    for _ in range(20):
        pods.eject(A, 2.0)
    assert pods.eject(A, 2.0) == 2.0 + LAST_ASIDE_S


def test_an_answer_forgives_refusals():
    pods = balancer(A)
    pods.eject(A, 0.0)
    pods.answered(A)
    assert pods.eject(A, 1.0) == 1.0 + FIRST_ASIDE_S


def test_ejecting_an_address_that_left_is_harmless():
    pods = balancer(A)
    pods.replace([])
    pods.eject(A, 0.0)
    assert pods.next_return() is None
    pods.replace([A])
    assert pods.take(0.0) == A


PODS = st.integers(1, 8)


@given(pods=PODS, limit=st.integers(0, 4), events=st.lists(st.integers(0, 99), max_size=200), slow=st.floats(0.5, 1.0))
def test_however_skewed_the_pods_are_nobody_waits_behind_another(pods, limit, events, slow):
    """Each event ends a request or brings one; ends fall to the first pod rarely, so it is slow. The address that is
    taken has the fewest requests in flight, and a request is refused only when all pods are full."""
    addresses = [(f"10.0.0.{number}", 8012) for number in range(pods)]
    balancer, held = Balancer(limit), []
    balancer.replace(addresses)
    for event in events:
        ending = [address for address in held if address != addresses[0] or event / 100 > slow]
        if event % 3 == 0 and ending:
            done = ending[event % len(ending)]
            held.remove(done)
            balancer.give_back(done)
            continue
        before = {address: balancer.in_flight_on(address) for address in addresses}
        address = balancer.take(0.0)
        if address is None:
            assert limit and min(before.values()) == limit
        else:
            assert before[address] == min(before.values())
            held.append(address)


@given(pods=st.integers(2, 6), rounds=st.integers(10, 60), weight=st.integers(2, 10))
def test_a_slow_pod_gets_its_share_and_starves_nobody(pods, rounds, weight):
    """A closed loop of clients: each pod ends one request a tick, the first one only every `weight` ticks."""
    addresses = [(f"10.0.0.{number}", 8012) for number in range(pods)]
    balancer, served = Balancer(), Counter()
    balancer.replace(addresses)
    for _ in range(2 * pods):
        balancer.take(0.0)
    for tick in range(rounds):
        for number, address in enumerate(addresses):
            if balancer.in_flight_on(address) and (number or tick % weight == 0):
                balancer.give_back(address)
                served[address] += 1
                balancer.take(0.0)
    fast = [served[address] for address in addresses[1:]]
    assert min(fast) >= max(fast) - 2
    assert served[addresses[0]] >= rounds // weight
    counts = [balancer.in_flight_on(address) for address in addresses]
    assert max(counts) - min(counts) <= 2 * pods
    assert max(counts[1:]) - min(counts[1:]) <= 1


ADDRESSES = st.sampled_from([A, B, C])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.none()),
        st.tuples(st.just("back"), st.integers(0, 20)),
        st.tuples(st.just("eject"), ADDRESSES),
        st.tuples(st.just("replace"), st.sets(ADDRESSES)),
    ),
    max_size=60,
)


@given(limit=st.integers(0, 3), steps=STEPS)
def test_any_script_keeps_counts_and_limits(limit, steps):
    pods, offered, held, now = Balancer(limit), set(), [], 0.0
    for action, value in steps:
        now += 0.03
        if action == "take":
            address = pods.take(now)
            if address is not None:
                assert address in offered
                held.append(address)
                assert not limit or held.count(address) <= limit
        elif action == "back" and held:
            pods.give_back(held.pop(value % len(held)))
        elif action == "eject":
            pods.eject(value, now)
        elif action == "replace":
            offered = value
            pods.replace(value)
        assert pods.in_flight == len(held)
        assert all(pods.in_flight_on(address) == held.count(address) for address in (A, B, C))
        assert set(pods.addresses) == offered
    for address in held:
        pods.give_back(address)
    assert pods.in_flight == 0
    now += LAST_ASIDE_S
    expected = len(offered) * limit if limit else (None if offered else 0)
    assert pods.free(now) == expected


def test_one_address_is_taken_when_it_has_room():
    pods = balancer(A, B, limit=3)
    assert [pods.take_this(A, 0.0, 2) for _ in range(3)] == [True, True, False]
    assert [pods.take_this(A, 0.0, 9) for _ in range(2)] == [True, False]
    assert not pods.take_this(("10.9.9.9", 1), 0.0, 9)
    assert [pods.take(0.0) for _ in range(4)] == [B, B, B, None]
    pods.eject(A, 0.0)
    pods.give_back(A)
    assert not pods.take_this(A, 0.0, 9)
    assert pods.take_this(A, 1.0, 9)
    for address in (A, A, A, B, B, B):
        pods.give_back(address)
    assert pods.in_flight == 0
