"""Texts in few bytes: what was put in comes out, and what is alike costs next to nothing."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kube.templates import Templates

ID = "0c9b5a77-5f6e-4d2b-9c1d-3a0f6b1e2d4c"
VALUES = st.sampled_from(
    [
        ID,
        ID.upper(),
        f"x{ID}",
        "2026-11-21T08:00:01Z",
        "2026-11-21T08:00:02Z",
        "2026-02-30T08:00:02Z",
        "1969-12-31T23:59:59Z",
        "2026-11-21T08:00:01.5Z",
        "app-00001",
        "app",
        "app-00001-deployment",
        "\x01\x02\x05",
        '\u00e4"\\',
        "",
    ]
)
NAMES = st.sampled_from(["app-00001", "app", "a", "-", "-a", "a-b-c-d-e-f", "metadata", "", "\u00e4"])
OBJECTS = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {
                "name": NAMES,
                "uid": VALUES,
                "resourceVersion": st.sampled_from(["1", "0", "01", "9" * 14, "9" * 20, "x"]),
            }
        ),
        "status": st.lists(VALUES, max_size=6),
    }
)


@given(st.lists(OBJECTS, max_size=8), st.integers(0, 3))
def test_what_comes_out_is_what_was_put_in(objects, limit):
    templates = Templates(limit)
    texts = [(obj["metadata"]["name"], msgspec.json.encode(obj)) for obj in objects]
    packed = [templates.pack(name, text) for name, text in texts]
    assert [templates.unpack(name, one) for (name, _), one in zip(texts, packed, strict=True)] == [t for _, t in texts]
    assert len(templates) <= limit


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], 2),
        (["app-7", "app", "app-7-deployment"], 2),
        ([ID], 2 + 16),
        (["2026-11-21T08:00:01Z"], 2 + 5),
        (["2026-11-21T08:00:01Z", "2026-11-21T08:00:01Z"], 2 + 5),
        (["2026-11-21T08:00:01Z", "2026-11-21T08:00:02Z"], 2 + 5 + 5),
    ],
)
def test_what_is_known_takes_no_room(values, expected):
    assert len(Templates().pack("app-7", msgspec.json.encode(values))) == expected


def test_objects_alike_share_a_template():
    templates = Templates()
    for number in range(100):
        name = f"app-{number}"
        templates.pack(name, msgspec.json.encode({"metadata": {"name": name, "resourceVersion": str(number + 1)}}))
    assert len(templates) == 1


@pytest.mark.parametrize("name", ["r", "res-1", "0c9b", "2026-1"])
def test_a_name_that_begins_other_words_costs_no_template_for_each_version(name):
    templates = Templates()
    for version in range(10):
        metadata = {"name": name, "uid": ID, "resourceVersion": str(version + 1)}
        text = msgspec.json.encode({"metadata": metadata, "at": f"2026-11-21T08:00:0{version}Z"})
        assert templates.unpack(name, templates.pack(name, text)) == text
    assert len(templates) == 1
