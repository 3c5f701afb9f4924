"""What no plan of swaps can do better: bounds for the loads of a list of requests with some of them in flight (pure).

A load is saved between two requests for a model only while the model is in memory, or while the first of the two still
waits: at every moment each saved load takes a place in memory or one of those in flight. So with `room` models in
memory and `in_flight` requests no plan saves more than one that has `room + in_flight` places in memory, serves
strictly in order, and knows the whole list: Belady's rule (IBM Systems Journal 5/2, 1966), which may let a request pass
through without keeping its model.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence


def least_loads(numbers: Sequence[int], room: int, in_flight: int) -> int:
    """Return loads that no plan can do without, even one that knows `numbers` from the start and has waited for it."""
    never = len(numbers)
    following = [never] * len(numbers)
    later: dict[int, int] = {}
    for at in range(len(numbers) - 1, -1, -1):
        following[at] = later.get(numbers[at], never)
        later[numbers[at]] = at
    kept: dict[int, int] = {}
    loads = 0
    for at, number in enumerate(numbers):
        loads += number not in kept
        kept[number] = following[at]
        if len(kept) > room + in_flight:
            del kept[max(kept, key=kept.__getitem__)]
    # What is in memory from before may spare some of the first ones.
    return max(0, loads - room)


def loads_of_patience(models: int, requests: int, room: int, in_flight: int, seed: int) -> int:
    """Return the loads of a plan that knows nothing of what comes, for models in random order.

    It loads only when all in flight wait, and then what most wait for; what goes is any model, since all are alike.
    """
    chance = random.Random(seed)
    memory = list(range(room))
    waiting: Counter[int] = Counter()
    loads = 0
    for _ in range(requests):
        number = chance.randrange(models)
        if number in memory:
            continue
        waiting[number] += 1
        if waiting.total() == in_flight:
            chosen, _ = waiting.most_common(1)[0]
            del waiting[chosen]
            memory[chance.randrange(room)] = chosen
            loads += 1
    return loads
