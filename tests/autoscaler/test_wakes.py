"""Wakes that activators tell: kept within bounds, told as Events, shown by revision."""

from __future__ import annotations

import msgspec
import pytest

from autoscaler.pages import wakes_page
from autoscaler.wakes import OF_REVISION_LIMIT, TOTAL_LIMIT, Wakes
from tidegate.contracts.wake import PHASES, Stretch, Wake

KEY = ("default", "hello-00001")


class World:
    def __init__(self) -> None:
        self.events: list[tuple[object, str, str]] = []
        self.now = 1_700_000_000.0
        self.wakes = Wakes(lambda *event: self.events.append(event), lambda: self.now)
        self.ours = True
        self.holder = ""

    # In place of the leases
    def is_ours(self, _key: object) -> bool:
        return self.ours

    def holder_of(self, _key: object) -> str:
        return self.holder

    def ask(self, path: str) -> tuple[int, object]:
        page = wakes_page(self.wakes, self)(path, {})
        return page.status, msgspec.json.decode(page.body) if page.content_type == "application/json" else page.body  # type: ignore[union-attr]


def wake_of(revision: str = KEY[1], total_us: int = 5000) -> Wake:
    return Wake("default", revision, "pod-1", "forked", (Stretch(PHASES, total_us),))


def test_a_wake_is_kept_and_told() -> None:
    world = World()
    assert world.wakes.keep(wake_of())
    ((key, reason, message),) = world.events
    assert (key, reason) == (KEY, "WokeUp")
    assert message == "Woke in 5.0 ms by pod pod-1, forked from a template: held-to-first-byte 5.0"
    (found,) = world.wakes.of(KEY)
    assert (found["unix_s"], found["total_ms"], found["pod"], found["way"]) == (world.now, 5.0, "pod-1", "forked")


def test_what_cannot_be_a_wake_is_neither_kept_nor_told() -> None:
    world = World()
    assert not world.wakes.keep(wake_of(total_us=-1))
    assert (world.events, len(world.wakes), world.wakes.of(KEY)) == ([], 0, [])


def test_memory_is_bounded_for_each_revision_and_for_all() -> None:
    world = World()
    for number in range(OF_REVISION_LIMIT + 5):
        world.wakes.keep(wake_of(total_us=number))
    assert [one["total_ms"] for one in world.wakes.of(KEY)] == [number / 1e3 for number in range(5, 25)]
    for number in range(TOTAL_LIMIT):
        world.wakes.keep(wake_of(f"other-{number:05}"))
    assert len(world.wakes) == TOTAL_LIMIT
    assert world.wakes.of(KEY) == []
    assert len(world.wakes._of) == TOTAL_LIMIT
    assert world.wakes.of(("default", "other-00000")) != []


@pytest.mark.parametrize(
    ("ours", "holder", "path", "status"),
    [
        (True, "", "default/hello-00001", 200),
        (True, "", "default/nobody", 200),
        (True, "", "", 404),
        (False, "", "default/hello-00001", 503),
        (False, "autoscaler-b_10.0.0.2:8080", "default/hello-00001", 421),
    ],
)
def test_the_page_of_one_revision(ours: bool, holder: str, path: str, status: int) -> None:
    world = World()
    world.wakes.keep(wake_of())
    world.ours, world.holder = ours, holder
    assert world.ask(path)[0] == status
    if status == 200:
        assert world.ask(path)[1] == world.wakes.of(("default", path.partition("/")[2]))
