"""The swap measurement: what first in, first out costs by its rule, and the bars made of two servers' rounds."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest import models_swaps


@pytest.mark.parametrize(
    ("numbers", "room", "loads"),
    [
        ([], 2, 0),
        ([1, 1, 1], 1, 1),
        ([1, 2, 1, 2], 1, 4),
        ([1, 2, 1, 3, 1, 2], 2, 4),
        ([1, 2, 3, 1, 2, 3], 2, 6),
    ],
)
def test_loads_of_first_in_first_out(numbers: list[int], room: int, loads: int) -> None:
    assert models_swaps.loads_of_fifo(numbers, room) == loads


class Scripted:
    """A server of models that counts a load for each of the first `loads` requests."""

    def __init__(self, loads: int) -> None:
        self.loads = loads
        self.asked: list[int] = []

    async def ask(self, number: int) -> float:
        self.asked.append(number)
        return 0.001

    async def metric(self, name: str) -> int:
        assert name == "model_repository_loads_total"
        return 7 + min(self.loads, len(self.asked))


async def test_every_request_of_the_list_is_sent_once_in_its_order() -> None:
    server = Scripted(500)
    line = await models_swaps.planned(server, "mixed", 40)
    assert server.asked == models_swaps.LISTS["mixed"]
    assert (line["loads"], line["p50_ms"]) == (500, 1.0)


async def test_a_first_in_first_out_that_is_none_is_refused() -> None:
    wanted = models_swaps.loads_of_fifo(models_swaps.LISTS["mixed"], 20)
    assert (await models_swaps.first_in_first_out(Scripted(wanted - 3), "mixed", 20))["loads"] == wanted - 3
    for loads in (wanted + 1, wanted - 21):
        with pytest.raises(RuntimeError, match="its rule says"):
            await models_swaps.first_in_first_out(Scripted(loads), "mixed", 20)


def test_the_bars_are_ratios_of_the_same_list() -> None:
    def line(server: str, name: str, in_flight: int, loads: int) -> dict[str, Any]:
        return {"server": server, "list": name, "in_flight": in_flight, "loads": loads, "longest_ms": 2000.0}

    rounds = [
        line("planned", "turns", 10, 900),
        line("planned", "turns", 40, 100),
        line("planned", "mixed", 40, 150),
        line("fifo", "turns", 1, 1000),
        line("fifo", "mixed", 1, 500),
    ]
    made = models_swaps.bars(rounds)
    assert [(bar.name, bar.value, bar.holds) for bar in made] == [
        ("swaps_over_fifo_turns_40_in_flight", 0.1, True),
        ("swaps_over_fifo_mixed_40_in_flight", 0.3, False),
        ("longest_wait", 2.0, True),
    ]
    assert rounds[0]["loads_over_fifo"] == 0.9, "ten in flight are told, not promised"
