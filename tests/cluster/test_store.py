"""The store alone: revisions, preconditions, history, subscribers, restarts; and that a watch replayed is the list."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster import store_format
from cluster.store import Collection, HistoryGone, Key, Stale, Store
from tidegate.kube.api import Object

PODS = Collection("", "pods")


def shadow(_: Collection, obj: Object) -> Object:
    return {"metadata": {"labels": obj["metadata"].get("labels", {})}}


def key(name: str, namespace: str = "ns", plural: str = "pods") -> Key:
    return Key("", plural, namespace, name)


def thing(name: str, value: int = 0) -> Object:
    return {"metadata": {"name": name, "namespace": "ns"}, "value": value}


@pytest.fixture
def store(tmp_path: Path):
    opened = Store(tmp_path / "store.db", shadow)
    yield opened
    opened.close()


def test_every_write_gets_the_next_revision_of_one_counter(store: Store) -> None:
    first = store.put(key("a"), thing("a"))
    second = store.put(key("b", plural="services"), thing("b"))
    gone = store.delete(key("a"))
    assert (second.revision, gone.revision) == (first.revision + 1, first.revision + 2)
    assert gone.decode()["metadata"]["resourceVersion"] == str(store.revision)


@pytest.mark.parametrize(
    ("exists", "expected", "fits"),
    [
        (False, 0, True),
        (False, None, True),
        (False, 7, False),
        (True, 0, False),
        (True, None, True),
        (True, 7, False),
        (True, -1, True),  # stands for the present revision
    ],
)
def test_put_holds_its_precondition(store: Store, exists: bool, expected: int | None, fits: bool) -> None:
    present = store.put(key("a"), thing("a", 1)).revision if exists else 0
    expected = present if expected == -1 else expected
    if fits:
        assert store.put(key("a"), thing("a", 2), expected).decode()["value"] == 2
    else:
        with pytest.raises(Stale):
            store.put(key("a"), thing("a", 2), expected)
        assert store.revision == max(present, 1)


def test_delete_of_nothing_is_stale(store: Store) -> None:
    with pytest.raises(Stale):
        store.delete(key("a"))


def test_readers_get_copies(store: Store) -> None:
    store.put(key("a"), thing("a"))
    entry = store.get(key("a"))
    assert entry is not None
    entry.decode()["value"] = 9
    assert entry.decode()["value"] == 0


def test_entries_are_ordered_and_filtered_by_namespace(store: Store) -> None:
    for namespace, name in (("b", "x"), ("a", "z"), ("a", "y")):
        store.put(key(name, namespace), {"metadata": {"name": name}})
    names = [entry.decode()["metadata"]["name"] for entry in store.entries(PODS)]
    assert names == ["y", "z", "x"]
    assert len(store.entries(PODS, "a")) == 2
    assert store.count(PODS) == 3
    assert list(store.collections()) == [PODS]


def test_a_restart_keeps_objects_and_never_repeats_a_revision(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db", shadow)
    store.put(key("a"), thing("a", 1))
    store.put(key("b"), thing("b", 2))
    last = store.delete(key("b")).revision
    store.close()
    again = Store(tmp_path / "s.db", shadow)
    assert [entry.decode()["value"] for entry in again.entries(PODS)] == [1]
    assert again.revision == last
    assert again.put(key("c"), thing("c")).revision == last + 1
    again.close()


def test_a_watch_may_go_on_after_a_restart_where_nothing_was_missed(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db", shadow)
    seen = store.put(key("a"), thing("a")).revision
    store.close()
    again = Store(tmp_path / "s.db", shadow)
    subscription = again.subscribe(PODS, since=seen)
    again.put(key("b"), thing("b"))
    assert [change.type for change in subscription.take()] == ["ADDED"]
    with pytest.raises(HistoryGone):
        again.subscribe(PODS, since=seen - 1)
    again.close()


@pytest.mark.parametrize("limits", [{"history_events": 3}, {"history_bytes": 250}])
def test_history_is_bounded_in_events_and_bytes(tmp_path: Path, limits: dict[str, int]) -> None:
    store = Store(tmp_path / "s.db", shadow, **limits)
    start = store.revision
    for value in range(10):
        store.put(key("a"), thing("a", value))
    with pytest.raises(HistoryGone):
        store.subscribe(PODS, since=start)
    assert store.oldest_revision > start
    assert store.subscribe(PODS, since=store.oldest_revision).take()
    store.close()


def test_the_future_is_gone_too(store: Store) -> None:
    with pytest.raises(HistoryGone):
        store.subscribe(PODS, since=store.revision + 1)


def test_subscribers_get_their_collection_and_namespace_only(store: Store) -> None:
    woken: list[int] = []
    subscription = store.subscribe(PODS, "ns", wake=lambda: woken.append(1))
    store.put(key("a"), thing("a"))
    store.put(key("a", "other"), thing("a"))
    store.put(key("a", plural="services"), thing("a"))
    assert [change.key for change in subscription.take()] == [key("a")]
    assert len(woken) == 1
    store.unsubscribe(subscription)
    store.unsubscribe(subscription)
    store.put(key("b"), thing("b"))
    assert subscription.take() == []


def test_a_subscriber_that_falls_behind_is_told_and_fed_no_more(store: Store) -> None:
    subscription = store.subscribe(PODS, limit=2)
    for name in "abcd":
        store.put(key(name), thing(name))
    assert subscription.overflowed
    assert subscription.take() == []


def test_observers_see_the_write_before_put_returns(store: Store) -> None:
    seen: list[tuple[str, int]] = []
    store.observe(PODS, lambda change: seen.append((change.type, change.entry.revision)))
    entry = store.put(key("a"), thing("a"))
    assert seen == [("ADDED", entry.revision)]


def test_a_failed_commit_changes_nothing(store: Store) -> None:
    store.put(key("a"), thing("a"))
    before = store.revision
    with pytest.raises(TypeError):
        store.put(key("a"), {"metadata": {"name": object()}})
    assert store.revision == before
    assert store.put(key("b"), thing("b")).revision == before + 1


def test_reindex_makes_shadows_again(tmp_path: Path) -> None:
    rule = {"now": 1}
    store = Store(tmp_path / "s.db", lambda _, obj: {"metadata": {}, "rule": rule["now"]})
    store.put(key("a"), thing("a"))
    rule["now"] = 2
    store.reindex(PODS)
    assert store.entries(PODS)[0].shadow["rule"] == 2
    store.close()


def test_checkpoint_folds_the_log_while_the_store_is_open(store: Store, tmp_path: Path) -> None:
    for value in range(50):
        store.put(key("a"), thing("a", value))
    assert store.writes_since_checkpoint == 50
    store.checkpoint()
    assert store.writes_since_checkpoint == 0
    store.put(key("b"), thing("b"))
    assert store.count(PODS) == 2


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["put", "delete"]), st.sampled_from("abcd"), st.integers(0, 3)), max_size=40
)


@settings(max_examples=60)
@given(operations=OPERATIONS, start=st.integers(0, 40))
def test_a_list_and_the_watch_after_it_replay_to_the_present_state(operations: list, start: int) -> None:
    store = Store(":memory:", shadow)
    state: dict[str, Object] = {}
    subscription = None
    for index, (operation, name, value) in enumerate(operations):
        if index == min(start, len(operations) - 1):
            state = {entry.decode()["metadata"]["name"]: entry.decode() for entry in store.entries(PODS)}
            subscription = store.subscribe(PODS, since=store.revision)
        if operation == "put":
            store.put(key(name), thing(name, value))
        elif store.get(key(name)) is not None:
            store.delete(key(name))
    seen: list[int] = []
    for change in subscription.take() if subscription else []:
        seen.append(change.entry.revision)
        assert (change.previous is None) == (change.type == "ADDED")
        if change.type == "DELETED":
            del state[change.key.name]
        else:
            state[change.key.name] = change.entry.decode()
    assert seen == sorted(set(seen))
    assert state == {entry.decode()["metadata"]["name"]: entry.decode() for entry in store.entries(PODS)}
    store.close()


WRITER = """
import sys
from cluster.store import Key, Store
store = Store(sys.argv[1], lambda collection, obj: {})
known = store.count(("", "pods"))
for number in range(known, 100000):
    name = f"p{number:06}"
    store.put(Key("", "pods", "ns", name), {"metadata": {"name": name}, "filler": "x" * 500})
    print(number, flush=True)
"""


@settings(max_examples=60)
@given(operations=OPERATIONS)
def test_every_state_that_history_reaches_can_be_listed_again(operations: list) -> None:
    store = Store(":memory:", shadow, history_events=12)
    seen: dict[int, list[tuple[str, int]]] = {store.revision: []}
    for operation, name, value in operations:
        if operation == "put":
            store.put(key(name), thing(name, value))
        elif store.get(key(name)):
            store.delete(key(name))
        seen[store.revision] = [(one.decode()["metadata"]["name"], one.revision) for one in store.entries(PODS)]
    for revision, expected in seen.items():
        if revision < store.oldest_revision:
            with pytest.raises(HistoryGone):
                store.entries_at(PODS, "", revision)
            continue
        found = [(one.decode()["metadata"]["name"], one.revision) for one in store.entries_at(PODS, "ns", revision)]
        assert found == expected
    store.close()


@pytest.mark.slow
def test_kill_minus_nine_loses_no_acknowledged_write(tmp_path: Path) -> None:
    acknowledged = -1
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "s.db")], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(60):
            acknowledged = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split("\n")
        acknowledged = max([acknowledged, *(int(line) for line in rest[:-1] if line)])
        process.stdout.close()
        process.wait()
        store = Store(tmp_path / "s.db", shadow)
        assert store.count(PODS) >= acknowledged + 1
        assert store.revision == 1 + store.count(PODS)
        store.close()


BEFORE_NUMBERS = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS objects (
  grp TEXT NOT NULL, plural TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
  body BLOB NOT NULL, PRIMARY KEY (grp, plural, namespace, name));
CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL);
INSERT OR IGNORE INTO counter VALUES (1, 1);
INSERT INTO objects VALUES ('', 'pods', 'ns', 'a', '{"metadata":{"name":"a","resourceVersion":"7"},"value":3}');
UPDATE counter SET revision = 9;
"""
"""A store as releases made it whose stores had no number; written out, since it must not follow today's code."""


def number_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


def test_a_store_from_before_formats_had_a_number_opens_and_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(BEFORE_NUMBERS)
    store_format.check_file(path)
    for _ in range(2):
        store = Store(path, shadow)
        entry = store.get(key("a"))
        assert entry is not None
        assert (entry.decode()["value"], entry.revision, store.revision) == (3, 7, 9)
        # At once in the file itself, whatever happens to the log: that is where the supervisor looks.
        assert int.from_bytes(path.read_bytes()[60:64], "big") == store_format.FORMAT
        store.close()
    assert number_of(path) == store_format.FORMAT


def test_each_format_before_has_a_step_to_the_next() -> None:
    assert sorted(store_format.STEPS) == list(range(store_format.FORMAT))


def test_a_store_of_a_later_release_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Store(path, shadow).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {store_format.FORMAT + 1}")
    before = path.read_bytes()
    for opening in (lambda: Store(path, shadow), lambda: store_format.check_file(path)):
        with pytest.raises(store_format.OtherFormat, match=r"has format 2, .* up to format 1: .*--state.*down --purge"):
            opening()
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"x" * 4096, b"hello"], ids=["long", "short"])
def test_a_file_that_is_no_store_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)
    for opening in (lambda: Store(path, shadow), lambda: store_format.check_file(path)):
        with pytest.raises(store_format.OtherFormat, match="is not a store of objects"):
            opening()
    assert path.read_bytes() == content


def test_no_store_and_an_empty_file_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store_format.check_file(path)
    path.touch()
    store_format.check_file(path)
    Store(path, shadow).close()
    assert number_of(path) == store_format.FORMAT
