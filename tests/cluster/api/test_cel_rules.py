"""Rules of CRD schemas in CEL, as a table; a webhook's match conditions; what cannot be evaluated is told."""

from __future__ import annotations

import copy

import pytest

from cluster.api import cel_rules, expressions, webhook_rules
from cluster.api.webhook_rules import BadAnswer, Hook
from tests.cluster.api.test_kubectl import BOAT, DEFINITION
from tidegate.kube.api import ApiError, Object, Resource
from tidegate.kube.client import Client

pytest.importorskip("cel")

BOATS = Resource("sea.dev", "v1", "boats", "Boat")
DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)


def schema(**spec: Object) -> Object:
    return {"type": "object", "properties": {"spec": {"type": "object", **spec}}}


def rule(text: str, **more: str) -> Object:
    return {"x-kubernetes-validations": [{"rule": text, **more}]}


NUMBER = {"properties": {"n": {"type": "integer"}, "x-y": {"type": "integer"}, "in": {"type": "string"}}}


@pytest.mark.parametrize(
    ("spec_schema", "spec", "old", "expected"),
    [
        (NUMBER | rule("self.n > 3"), {"n": 4}, None, []),
        (NUMBER | rule("self.n > 3"), {"n": 3}, None,
         [("spec", 'Invalid value: "object": failed rule: self.n > 3')]),
        (NUMBER | rule("self.n > 3", message="few"), {"n": 3}, None, [("spec", 'Invalid value: "object": few')]),
        (NUMBER | rule("self.n > 3", messageExpression="'n is ' + string(self.n)"), {"n": 3}, None,
         [("spec", 'Invalid value: "object": n is 3')]),
        (NUMBER | rule("has(self.n)", fieldPath=".n", reason="FieldValueRequired"), {}, None,
         [("spec.n", "Required value: failed rule: has(self.n)")]),
        (NUMBER | rule("self.x__dash__y == 1 && self.__in__ == 'a'"), {"x-y": 1, "in": "a"}, None, []),
        (NUMBER | rule("self == oldSelf", message="fixed"), {"n": 2}, {"n": 1},
         [("spec", 'Invalid value: "object": fixed')]),
        (NUMBER | rule("self == oldSelf", message="fixed"), {"n": 2}, None, []),
        (NUMBER | rule("self.n > 3"), {"n": 3}, {"n": 3}, []),
        (NUMBER | rule("self.missing > 3"), {"n": 3}, None,
         [("spec", 'Invalid value: "object": rule evaluation error: KeyError: \'missing\' evaluating rule: '
           "self.missing > 3")]),
        ({"properties": {"s": {"type": "string"} | rule("isURL(self) && url(self).getHost() == 'a:80'")}},
         {"s": "http://a:80/x"}, None, []),
        ({"properties": {"s": {"type": "string"} | rule("self.startsWith('a')")}}, {"s": "b"}, None,
         [("spec.s", "Invalid value: \"b\": failed rule: self.startsWith('a')")]),
        ({"properties": {"l": {"type": "array", "items": {"type": "integer"}}
           | rule("self.isSorted() && self.sum() < 9")}},
         {"l": [1, 2, 3]}, None, []),
        ({"additionalProperties": {"type": "integer"} | rule("self <= 2")}, {"a-b": 1, "c": 3}, None,
         [("spec.c", "Invalid value: 3: failed rule: self <= 2")]),
    ],
)  # fmt: skip
def test_rules(spec_schema: Object, spec: Object, old: Object | None, expected: list[tuple[str, str]]) -> None:
    before = None if old is None else {"spec": old}
    found = cel_rules.validate({"spec": spec}, before, schema(**spec_schema))
    assert [(one.path, one.message) for one in found] == expected


def test_items_of_map_lists_are_compared_by_their_keys() -> None:
    items = {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}}
    items |= rule("self.v >= oldSelf.v", message="only up")
    listed = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": items}
    old = {"spec": {"l": [{"k": "a", "v": 1}, {"k": "b", "v": 5}]}}
    new = {"spec": {"l": [{"k": "b", "v": 4}, {"k": "a", "v": 2}, {"k": "c", "v": 0}]}}
    (found,) = cel_rules.validate(new, old, schema(properties={"l": listed}))
    assert (found.path, found.message) == ("spec.l[0]", 'Invalid value: "object": only up')


def test_metadata_shows_the_name_only() -> None:
    whole = schema() | rule("self.metadata.name.size() < 4 && !has(self.metadata.labels)")
    assert cel_rules.validate({"metadata": {"name": "abc", "labels": {}}, "spec": {}}, None, whole) == []
    assert cel_rules.validate({"metadata": {"name": "abcd"}, "spec": {}}, None, whole)


def definition(rule_text: str) -> Object:
    made = copy.deepcopy(DEFINITION)
    spec = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec |= rule(rule_text, message="no")
    return made


async def test_a_definitions_rules_are_checked_and_hold(client: Client) -> None:
    with pytest.raises(ApiError, match="compilation failed") as caught:
        await client.create(DEFINITIONS, definition("self.sails >"))
    assert caught.value.status == 422
    await client.create(DEFINITIONS, definition("self.sails <= 3"))
    await client.create(BOATS, BOAT, "default")
    with pytest.raises(ApiError, match='spec: Invalid value: "object": no'):
        await client.patch(BOATS, "argo", {"spec": {"sails": 4}}, "default")


async def test_a_rule_that_is_not_enforced_is_told(running, client: Client) -> None:
    headers = client._headers() | {"Content-Type": "application/json"}
    url = running.url + DEFINITIONS.path("")
    async with client._open().post(url, json=definition("self.?oars.orValue(0) < 1"), headers=headers) as answer:
        assert answer.status == 201
        assert "is not enforced" in answer.headers["Warning"]
    await client.create(BOATS, BOAT, "default")


@pytest.mark.parametrize(
    ("policy", "texts", "expected"),
    [
        ("Fail", [], True),
        ("Fail", ["object.metadata.name == 'a'"], True),
        ("Fail", ["object.metadata.name == 'a'", "request.operation == 'DELETE'"], False),
        ("Fail", ["!(request.userInfo.username in ['bot'])"], False),
        ("Fail", ["object.nothing", "false"], False),
        ("Fail", ["object.nothing"], BadAnswer),
        ("Ignore", ["object.nothing"], False),
        ("Fail", ["oldObject == null"], True),
    ],
)
def test_match_conditions(policy: str, texts: list[str], expected: bool | type[Exception]) -> None:
    conditions = [{"name": f"c{index}", "expression": text} for index, text in enumerate(texts)]
    hook = Hook("h", {"name": "h", "failurePolicy": policy, "matchConditions": conditions})
    request = {"operation": "CREATE", "object": {"metadata": {"name": "a"}}, "oldObject": None}
    review = {"request": request | {"userInfo": {"username": "bot"}}}
    if isinstance(expected, bool):
        assert webhook_rules.conditions_hold(hook, review) is expected
    else:
        with pytest.raises(expected):
            webhook_rules.conditions_hold(hook, review)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'a,b,c'.split(',').join('-')", "a-b-c"),
        ("'Abc'.lowerAscii().replace('b', 'x')", "axc"),
        ("'abcd'.substring(1, 3)", "bc"),
        ("'x12y'.find('[0-9]+')", "12"),
        ("[1, 2, 1].lastIndexOf(1)", 2),
        ("isIP('10.0.0.1') && !isIP('x') && isCIDR('10.0.0.0/8')", True),
        ("sets.contains([1, 2], [2]) && max([1, 3]) == 3", True),
        ("url('https://u@h.b:8/p').getHostname() + url('https://h:8/p').getPort()", "h.b8"),
    ],
)
def test_the_functions_kubernetes_adds(text: str, value: object) -> None:
    assert expressions.evaluate(text, {}) == value


@pytest.mark.parametrize(
    "text", ["quantity('1Gi').isGreaterThan(quantity('1'))", "self.?a.orValue(1) == 1", "'%s'.format(['a']) == 'a'",
             "authorizer.path('/').check('get').allowed()", "cel.bind(x, 1, x) == 1"],
)  # fmt: skip
def test_what_is_not_known_is_said_and_not_guessed(text: str) -> None:
    with pytest.raises(expressions.NotEnforced):
        expressions.compiled(text)
    whole = schema() | rule(text)
    assert cel_rules.validate({"metadata": {}, "spec": {}}, None, whole) == []
    found = cel_rules.not_enforced({"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": whole}}]}})
    assert len(found) == 1
