"""The order in which keys are worked on."""

from hypothesis import given
from hypothesis import strategies as st

from controller.workqueue import LAST_BACKOFF_S, WorkQueue


def test_first_marked_first_taken_and_each_once():
    queue = WorkQueue()
    for key in "aba":
        queue.mark(key)
    assert [queue.take(0.0), queue.take(0.0), queue.take(0.0)] == ["a", "b", None]


def test_a_key_marked_while_it_runs_runs_again_afterwards():
    queue = WorkQueue()
    queue.mark("a")
    assert queue.take(0.0) == "a"
    queue.mark("a")
    assert queue.take(0.0) is None
    queue.succeed("a", 0.0)
    assert queue.take(0.0) == "a"


def test_a_failing_key_waits_longer_each_time_even_when_marked():
    queue = WorkQueue()
    delays, now = [], 0.0
    queue.mark("a")
    for _ in range(12):
        assert queue.take(now) == "a"
        delays.append(queue.fail("a", now))
        queue.mark("a")
        assert queue.take(now + delays[-1] / 2) is None
        now += delays[-1]
    assert delays[:4] == [0.05, 0.1, 0.2, 0.4]
    assert delays[-1] == LAST_BACKOFF_S


def test_success_ends_the_back_off():
    queue = WorkQueue()
    queue.mark("a")
    queue.take(0.0)
    queue.fail("a", 0.0)
    assert queue.take(1.0) == "a"
    queue.succeed("a", 1.0)
    queue.mark("a")
    assert queue.take(1.0) == "a"
    assert queue.fail("a", 1.0) == 0.05


def test_a_key_may_ask_for_itself_later():
    queue = WorkQueue()
    queue.mark("a")
    queue.take(0.0)
    queue.succeed("a", 0.0, requeue_after_s=5.0)
    assert queue.next_due() == 5.0
    assert queue.take(4.9) is None
    assert queue.take(5.0) == "a"
    queue.succeed("a", 5.0)
    assert len(queue) == 0
    assert queue.next_due() is None


@given(st.lists(st.tuples(st.sampled_from(["mark", "take", "succeed", "fail"]), st.sampled_from("abc"))))
def test_no_key_is_lost_and_none_runs_twice_at_once(steps):
    queue, running, wanted, now = WorkQueue(), set(), set(), 0.0
    for step, key in steps:
        now += 1.0
        if step == "mark":
            queue.mark(key)
            wanted.add(key)
        elif step == "take" and (taken := queue.take(now)) is not None:
            assert taken not in running
            running.add(taken)
            wanted.discard(taken)
        elif step == "succeed" and key in running:
            running.discard(key)
            queue.succeed(key, now)
        elif step == "fail" and key in running:
            running.discard(key)
            queue.fail(key, now)
            wanted.add(key)
    for key in list(running):
        queue.succeed(key, now)
    taken = set()
    while (key := queue.take(now + 100.0)) is not None:
        taken.add(key)
    assert wanted <= taken
