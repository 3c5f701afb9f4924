"""Validation by schema: one row per keyword, good value and bad value, with the message a client would see."""

import pytest

from cluster.api.schema import validate
from cluster.api.schema_formats import is_of_format

INVALID, TYPE = "FieldValueInvalid", "FieldValueTypeInvalid"
LIST_MAP = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"]}
ONE_OF = {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}

CASES = {
    "object": ({"type": "object"}, {}, [], "must be of type object", TYPE),
    "array": ({"type": "array"}, [], {}, "must be of type array", TYPE),
    "string": (
        {"type": "string"},
        "",
        1,
        'Invalid value: "integer": v in body must be of type string: "integer"',
        TYPE,
    ),
    "boolean": ({"type": "boolean"}, True, "true", "must be of type boolean", TYPE),
    "integer": ({"type": "integer"}, 2.0, 2.5, "must be of type integer", TYPE),
    "integer is no boolean": ({"type": "integer"}, 1, True, "must be of type integer", TYPE),
    "number": ({"type": "number"}, 2.5, "2", "must be of type number", TYPE),
    "null": ({"type": "string", "nullable": True}, None, 1, "must be of type string", TYPE),
    "not null": ({"type": "string"}, "a", None, 'Invalid value: "null"', TYPE),
    "int or string": ({"x-kubernetes-int-or-string": True}, "25%", 1.5, "of type integer,string", TYPE),
    "int or string: int": ({"x-kubernetes-int-or-string": True}, 1, [], "of type integer,string", TYPE),
    "enum": (
        {"enum": ["A", "B"]},
        "A",
        "C",
        'Unsupported value: "C": supported values: "A", "B"',
        "FieldValueNotSupported",
    ),
    "minLength": ({"minLength": 2}, "ab", "a", "be at least 2 chars long", INVALID),
    "maxLength": ({"maxLength": 2}, "ab", "abc", "Too long: may not be more than 2 bytes", "FieldValueTooLong"),
    "pattern": ({"pattern": "^a+$"}, "aa", "b", "Invalid value: \"b\": v in body should match '^a+$'", INVALID),
    "format": (
        {"format": "date-time"},
        "2026-01-01T00:00:00Z",
        "today",
        'Invalid value: "today": v in body must be of type date-time: "today"',
        INVALID,
    ),
    "int32": ({"format": "int32"}, 1, 1 << 31, "must be of type int32", INVALID),
    "minimum": ({"minimum": 1}, 1, 0, "Invalid value: 0: v in body should be greater than or equal to 1", INVALID),
    "maximum": ({"maximum": 1}, 1, 2, "should be less than or equal to 1", INVALID),
    "exclusiveMinimum": ({"minimum": 1, "exclusiveMinimum": True}, 2, 1, "should be greater than 1", INVALID),
    "exclusiveMaximum": ({"maximum": 1, "exclusiveMaximum": True}, 0, 1, "should be less than 1", INVALID),
    "multipleOf": ({"multipleOf": 0.1}, 0.3, 0.35, "should be a multiple of 0.1", INVALID),
    "minItems": ({"minItems": 1}, [1], [], "should have at least 1 items", INVALID),
    "maxItems": ({"maxItems": 1}, [1], [1, 2], "Too many: 2: must have at most 1 items", "FieldValueTooMany"),
    "uniqueItems": ({"uniqueItems": True}, [1, 2], [1, 1], "should not contain duplicates", INVALID),
    "set": ({"x-kubernetes-list-type": "set"}, ["a", "b"], ["a", "a"], 'Duplicate value: "a"', "FieldValueDuplicate"),
    "map": (
        LIST_MAP,
        [{"a": 1}, {"a": 2}],
        [{"a": 1, "c": 1}, {"a": 1}],
        'Duplicate value: {"a": 1',
        "FieldValueDuplicate",
    ),
    "minProperties": ({"minProperties": 1}, {"a": 1}, {}, "should have at least 1 properties", INVALID),
    "maxProperties": ({"maxProperties": 0}, {}, {"a": 1}, "Too many: 1", "FieldValueTooMany"),
    "anyOf": ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, 1, [], "at least one schema (anyOf)", INVALID),
    "oneOf": (ONE_OF, {"a": 1}, {"a": 1, "b": 1}, "one and only one schema (oneOf)", INVALID),
    "oneOf: none": (ONE_OF, {"b": 1}, {}, "one and only one schema (oneOf)", INVALID),
    "not": ({"not": {"type": "string"}}, 1, "a", "not validate the schema (not)", INVALID),
    "allOf": ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, 2, 4, "should be less than or equal to 3", INVALID),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_keyword(case):
    schema, good, bad, message, reason = case
    assert validate({"v": good}, {"properties": {"v": schema}}) == []
    (error,) = validate({"v": bad}, {"properties": {"v": schema}})
    assert message in error.message
    assert error.reason == reason
    assert error.path.startswith("v")


PATHS = [
    ({"required": ["a"]}, {}, "a"),
    ({"properties": {"s": {"required": ["a"]}}}, {"s": {}}, "s.a"),
    ({"properties": {"l": {"items": {"properties": {"p": {"minimum": 1}}}}}}, {"l": [{"p": 1}, {"p": 0}]}, "l[1].p"),
    ({"additionalProperties": {"type": "string"}}, {"x": 1}, "x"),
    ({"properties": {"a": {}}, "additionalProperties": {"type": "string"}}, {"a": 1, "x": 1}, "x"),
    ({"additionalProperties": False}, {"x": 1}, "x"),
    ({"properties": {"s": {"x-kubernetes-list-type": "set"}}}, {"s": ["a", "a"]}, "s[1]"),
]


@pytest.mark.parametrize(("schema", "value", "path"), PATHS)
def test_paths(schema, value, path):
    assert [error.path for error in validate(value, schema)] == [path]


def test_required_value():
    (error,) = validate({}, {"required": ["a"]})
    assert (error.message, error.reason) == ("Required value", "FieldValueRequired")


def test_what_cannot_be_understood_allows_all():
    assert validate("x", {"pattern": "(?<bad"}) == []
    assert validate("x", {"format": "unheard-of"}) == []
    assert validate({"a": 1}, {"properties": {"a": True}}) == []
    assert validate({}, {"x-kubernetes-validations": [{"rule": "false"}]}) == []


FORMATS = [
    ("date-time", ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5+02:00"], ["2026-01-01", "2026-13-01T00:00:00Z"]),
    ("date", ["2026-01-01"], ["2026-02-30", "x"]),
    ("duration", ["1h30m", "0", "1.5s", "-5ms"], ["", "1", "1x", "h"]),
    ("byte", ["YQ=="], ["a", "!"]),
    ("ipv4", ["127.0.0.1"], ["127.0.0.256", "::1"]),
    ("ipv6", ["::1"], ["127.0.0.1"]),
    ("cidr", ["127.0.0.0/8"], ["127.0.0.1", "x/8"]),
    ("hostname", ["a.example"], ["-a", "a b"]),
    ("email", ["a@b"], ["a"]),
    ("uri", ["http://x", "/x"], ["x y"]),
    ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["x"]),
    ("int32", [0, -(1 << 31)], [1 << 31]),
    ("int64", [1 << 40], [1 << 63]),
]


@pytest.mark.parametrize(("name", "good", "bad"), FORMATS, ids=[row[0] for row in FORMATS])
def test_format(name, good, bad):
    assert [value for value in good if not is_of_format(value, name)] == []
    assert [value for value in bad if is_of_format(value, name)] == []
