"""The limiter: slots are never exceeded, the queue is a FIFO, nobody is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from queueproxy.limiter import Limiter, Offer


def test_the_twelfth_request_of_one_slot_is_turned_away():
    limiter: Limiter[int] = Limiter(1, 10)
    offers = [limiter.offer(number) for number in range(12)]
    assert offers == [Offer.RUN, *[Offer.WAIT] * 10, Offer.FULL]
    assert (limiter.running, limiter.waiting) == (1, 10)


def test_waiters_run_in_order_of_arrival():
    limiter: Limiter[str] = Limiter(1, 10)
    for name in "abcd":
        limiter.offer(name)
    assert [limiter.finish() for _ in range(4)] == ["b", "c", "d", None]
    assert limiter.running == 0


def test_no_limit_lets_everybody_run():
    limiter: Limiter[int] = Limiter(0, 0)
    assert {limiter.offer(number) for number in range(1000)} == {Offer.RUN}


def test_who_abandons_the_queue_frees_its_place():
    limiter: Limiter[str] = Limiter(1, 2)
    assert [limiter.offer(name) for name in "abcd"] == [Offer.RUN, Offer.WAIT, Offer.WAIT, Offer.FULL]
    limiter.abandon("b")
    assert limiter.offer("e") is Offer.WAIT
    assert [limiter.finish(), limiter.finish(), limiter.finish()] == ["c", "e", None]


def test_deadlines_expire_from_the_head():
    limiter: Limiter[str] = Limiter(1, 10)
    for name, deadline in zip("abc", (1.0, 2.0, 3.0), strict=True):
        limiter.offer(name, deadline)
    assert limiter.next_deadline() == 2.0
    assert limiter.expire(1.9) == []
    assert limiter.expire(2.0) == ["b"]
    assert limiter.next_deadline() == 3.0
    assert limiter.finish() == "c"
    assert limiter.next_deadline() is None


def test_waiters_without_deadline_never_expire():
    limiter: Limiter[str] = Limiter(1, 10)
    limiter.offer("a")
    limiter.offer("b")
    assert limiter.next_deadline() is None
    assert limiter.expire(1e9) == []


NAMES = ["offer", "finish", "abandon", "expire"]
ACTIONS = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 50)), max_size=80)


@given(slots=st.integers(0, 4), queue=st.integers(0, 5), actions=ACTIONS)
def test_any_script_keeps_the_invariants(slots, queue, actions):
    limiter: Limiter[int] = Limiter(slots, queue)
    running: set[int] = set()
    fifo: list[int] = []
    served: list[int] = []
    for number, (action, pick) in enumerate(actions):
        if action == "offer":
            match limiter.offer(number, deadline=float(number + 10)):
                case Offer.RUN:
                    running.add(number)
                case Offer.WAIT:
                    fifo.append(number)
                case Offer.FULL:
                    assert slots and len(fifo) == queue
        elif action == "finish" and running:
            running.discard(sorted(running)[pick % len(running)])
            granted = limiter.finish()
            assert granted == (fifo.pop(0) if fifo else None)
            if granted is not None:
                running.add(granted)
                served.append(granted)
        elif action == "abandon" and fifo:
            limiter.abandon(fifo.pop(pick % len(fifo)))
        elif action == "expire":
            late = limiter.expire(float(number))
            assert late == fifo[: len(late)]
            del fifo[: len(late)]
        assert limiter.running == len(running)
        assert limiter.waiting == len(fifo)
        assert not slots or len(running) <= slots
    assert served == sorted(served)
