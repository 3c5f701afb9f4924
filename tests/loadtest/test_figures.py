"""Figures and tools of the load tests: percentiles, bars, hey's output, the loopback bound."""

from __future__ import annotations

import json
import subprocess

import pytest

from loadtest import figures, load
from loadtest.figures import Bar, Figures, percentile
from loadtest.tools import parse_hey


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([5], 0.5, 5),
        ([1, 2, 3, 4], 0.5, 2),
        ([4, 3, 2, 1], 0.99, 4),
        ([1, 2, 3], 0.5, 2),
        (list(range(1, 101)), 0.95, 95),
    ],
)
def test_percentiles_are_nearest_rank(values, share, expected):
    assert percentile(values, share) == expected


def test_no_values_is_an_error_and_not_a_zero():
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_a_bar_holds_in_its_direction():
    assert Bar("a", 20, "ms", 20).holds
    assert not Bar("a", 20.1, "ms", 20).holds
    assert Bar("a", 3, "x", 2, at_least=True).holds


def test_the_json_object_has_what_every_command_prints():
    document = json.loads(Figures(bars=[Bar("wake", 12.3456, "ms", 250)]).as_json())
    assert set(document) == {"commit", "machine", "rounds", "bars", "notes"}
    assert document["bars"][0] | {"at_least": False} == {
        "name": "wake",
        "value": 12.346,
        "unit": "ms",
        "limit": 250,
        "at_least": False,
        "holds": True,
    }


@pytest.mark.parametrize(
    "error", [OSError(), subprocess.CalledProcessError(128, "git"), subprocess.TimeoutExpired("git", 10)]
)
def test_figures_are_kept_when_git_cannot_tell_the_commit(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(*_: str) -> str:
        raise error

    monkeypatch.setattr(figures, "_git", fails)
    assert json.loads(Figures().as_json())["commit"] == "unknown"


HEY = """
Status code distribution:
  [200]	1490 responses
  [503]	3 responses

Error distribution:
  [2]	Get "http://127.0.0.1:8080/": EOF
"""


def test_hey_errors_count_as_lost():
    assert parse_hey(HEY) == {200: 1490, 503: 3, 0: 2}


def test_load_goes_to_loopback_only():
    with pytest.raises(ValueError, match="not a loopback address"):
        load.Connection("10.0.0.1", 80)


async def test_a_refused_connection_is_status_zero():
    assert (await load.get(1, "nobody")).status == 0
