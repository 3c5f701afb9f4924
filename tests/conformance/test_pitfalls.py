"""Thirty behaviours of Knative Serving that are easily got wrong, each a test that names it.

Most are decided by pure modules and asked of them directly, those of the data path on real sockets. Where Tidegate
differs on purpose, the test shows what stands in the behaviour's place, and its docstring says so.
"""

from __future__ import annotations

import sys

import yaml

from tests.conformance.page import INVENTORY
from tests.conformance.pitfalls_of_objects import *  # noqa: F403
from tests.conformance.pitfalls_of_requests import *  # noqa: F403
from tests.conformance.pitfalls_of_scaling import *  # noqa: F403


def test_every_pitfall_has_a_test():
    found = vars(sys.modules[__name__])
    marks = [
        mark for name, test in found.items() if name.startswith("test_") for mark in getattr(test, "pytestmark", [])
    ]
    named = {mark.args[1] for mark in marks if mark.name == "upstream"}
    inventory = yaml.safe_load(INVENTORY.read_text())["pitfalls"]
    assert named == set(inventory)
    assert [int(name.partition(":")[0]) for name in inventory] == list(range(1, 31))
