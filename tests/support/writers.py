"""Writers that keep an API server busy while a test watches it."""

from __future__ import annotations

import random
from collections.abc import Callable

from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object
from tidegate.kube.client import Client

CM = resources.CONFIG_MAPS
NAMES = "abcdefgh"


async def write_at_random(client: Client, body: Callable[[str, int], Object], count: int, seed: int) -> None:
    """Create, change and delete `count` times ConfigMaps of a few names, which others may write too.

    `body`: makes the object from its name and a number.
    """
    draw = random.Random(seed)
    for number in range(count):
        name = draw.choice(NAMES)
        try:
            match draw.randrange(3):
                case 0:
                    await client.create(CM, body(name, number))
                case 1:
                    await client.patch(CM, name, {"data": {"v": str(number)}}, "default")
                case 2:
                    await client.delete(CM, name, "default")
        except ApiError as error:
            assert error.is_not_found or error.is_already_exists
