"""The memory of a template before it forks: no holes, no caches that children would overwrite."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cluster.node import shared_pages

STATISTICS = """Small block threshold = 512, in 32 size classes.

class   size   num pools   blocks in use  avail blocks
-----   ----   ---------   -------------  ------------
    0     16           1             106           915
    2     48          13            4223           197

# arenas allocated total           =                    1
"""
SETTLED = """
import gc, json, os, sys
sys.path_importer_cache["/not/there"] = None
kept = [bytearray(n % 400) for n in range(30000)][::3]
import shared_pages
before = shared_pages.holes(shared_pages._allocator_statistics())
shared_pages.settle()
after = shared_pages.holes(shared_pages._allocator_statistics())
print(json.dumps({
    "before": sum(size * free for size, free in before.items()),
    "after": sum(size * free for size, free in after.items()),
    "frozen": gc.get_freeze_count() > 0,
    "forgotten": "/not/there" not in sys.path_importer_cache,
    "kept": len(sys.path_importer_cache) > 0,
    "files": len(os.listdir("/proc/self/fd")),
}))
print("still there", file=sys.stderr)
"""


def test_the_allocators_statistics_are_read() -> None:
    assert shared_pages.holes(STATISTICS) == {16: 915, 48: 197}
    assert shared_pages.holes("") == {}


@pytest.mark.parametrize("size", range(16, 513, 16))
def test_an_object_of_every_size_fills_a_hole_of_that_size(size: int) -> None:
    found = shared_pages._objects(size, 3)
    assert len(found) == len(set(map(id, found))) == 3
    assert {(sys.getsizeof(one) + 15) // 16 * 16 for one in found} == {size}


def test_a_settled_process_has_few_holes_left() -> None:
    folder = str(shared_pages.__file__).rpartition("/")[0]
    done = subprocess.run(
        [sys.executable, "-c", SETTLED],
        check=False,
        env={"PYTHONPATH": folder},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == "still there\n", "standard error is what it was"
    found = json.loads(done.stdout)
    assert found["frozen"] and found["forgotten"] and found["kept"]
    assert found["files"] == 4, "stdio and the descriptor that listed them"
    assert found["before"] > 1_000_000
    assert found["after"] < found["before"] / 4
