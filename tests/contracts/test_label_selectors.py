"""Label selectors in ConfigMaps: what they are about, and what is none."""

import pytest

from tidegate.contracts import label_selectors

NOT_IN = "matchExpressions:\n- key: without\n  operator: NotIn\n  values: ['true']\n"


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("{}", {}, True),
        ("matchLabels:\n  a: b\n", {"a": "b", "c": "d"}, True),
        ("matchLabels:\n  a: b\n", {"a": "x"}, False),
        (NOT_IN, {}, True),
        (NOT_IN, {"without": "true"}, False),
        (NOT_IN, {"without": "false"}, True),
        ('{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "c"]}]}', {"a": "c"}, True),
        ('{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "c"]}]}', {}, False),
        ('{"matchExpressions": [{"key": "a", "operator": "Exists"}]}', {"a": ""}, True),
        ('{"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}', {"a": ""}, False),
    ],
)
def test_what_a_selector_is_about(text, labels, expected):
    assert label_selectors.parse(text).matches(labels) is expected


@pytest.mark.parametrize(
    "text",
    [
        "everything",
        "[]",
        "matchLabel: {}",
        "matchLabels: {a: true}",
        '{"matchExpressions": [{"key": "a", "operator": "Near"}]}',
        '{"matchExpressions": [{"key": "a", "operator": "In"}]}',
        '{"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]}',
        "{",
    ],
)
def test_what_is_none(text):
    with pytest.raises(ValueError, match=r"."):
        label_selectors.parse(text)
