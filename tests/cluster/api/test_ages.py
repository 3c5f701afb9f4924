"""Ages as kubectl prints them."""

import pytest

from cluster.api.ages import human_age, since, unix

MINUTE, HOUR, DAY = 60, 3600, 86400
AGES = [
    (-5, "<invalid>"),
    (-1, "0s"),
    (0, "0s"),
    (0.9, "0s"),
    (5, "5s"),
    (119, "119s"),
    (120, "2m"),
    (200, "3m20s"),
    (599, "9m59s"),
    (600, "10m"),
    (3 * HOUR - 1, "179m"),
    (3 * HOUR, "3h"),
    (3 * HOUR + 5 * MINUTE, "3h5m"),
    (8 * HOUR - 1, "7h59m"),
    (8 * HOUR, "8h"),
    (2 * DAY - 1, "47h"),
    (2 * DAY, "2d"),
    (4 * DAY + 3 * HOUR, "4d3h"),
    (8 * DAY, "8d"),
    (729 * DAY, "729d"),
    (730 * DAY, "2y"),
    (800 * DAY, "2y70d"),
    (3000 * DAY, "8y"),
]


@pytest.mark.parametrize(("seconds", "expected"), AGES)
def test_human_age(seconds, expected):
    assert human_age(seconds) == expected


def test_timestamps():
    assert unix("1970-01-01T00:01:00Z") == 60
    assert unix("1970-01-01T00:01:00.500000+00:00") == 60.5
    assert unix("1970-01-01T00:01:00") == 60
    assert [unix(text) for text in (None, "", "yesterday", 5)] == [None] * 4
    assert since("1970-01-01T00:01:00Z", 65) == "5s"
    assert since(None, 65) == "<unknown>"
