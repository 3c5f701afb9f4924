"""Label and field selectors, as tables of text, object and answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.selectors import SelectorError, field_text, from_label_selector, parse_fields, parse_labels

LABELS = {"app": "hello", "tier": "web", "n": "5", "empty": ""}

LABEL_CASES = [
    ("", True),
    ("  ", True),
    ("app=hello", True),
    ("app==hello", True),
    (" app = hello ", True),
    ("app=other", False),
    ("app!=hello", False),
    ("app!=other", True),
    ("missing!=x", True),
    ("missing=x", False),
    ("missing=", False),
    ("empty=", True),
    ("app in (hello, bye)", True),
    ("app in (bye)", False),
    ("app in(hello)", True),
    ("app notin (bye)", True),
    ("app notin (hello)", False),
    ("missing notin (a,b)", True),
    ("missing in (a,b)", False),
    ("empty in (,a)", True),
    ("app", True),
    ("missing", False),
    ("!missing", True),
    ("! missing", True),
    ("!app", False),
    ("app=hello,tier=web", True),
    ("app=hello,tier=db", False),
    ("app in (hello,bye),tier,!missing", True),
    ("n>4", True),
    ("n>5", False),
    ("n<6", True),
    ("app<6", False),
    ("missing<6", False),
    ("serving.knative.dev/revision", False),
]


@pytest.mark.parametrize(("text", "expected"), LABEL_CASES)
def test_labels(text, expected):
    selector = parse_labels(text)
    assert selector.matches({"metadata": {"labels": LABELS}}) is expected
    assert selector.matches_labels(LABELS) is expected


@pytest.mark.parametrize("labels", [{}, {"labels": None}, {"labels": {}}])
def test_object_without_labels(labels):
    assert parse_labels("!a").matches({"metadata": labels})
    assert not parse_labels("a").matches({"metadata": labels})
    assert parse_labels("").is_empty


BAD_LABELS = ["a=b,", ",", "a in b", "a in (b", "a b", "=b", "a==b==c", "a=b c", "-a=b", "a=-b", "a>x", "a (b)", "!a=b"]


@pytest.mark.parametrize("text", BAD_LABELS)
def test_bad_labels(text):
    with pytest.raises(SelectorError):
        parse_labels(text)


POD = {
    "metadata": {"name": "a", "namespace": "b"},
    "spec": {"nodeName": "local", "replicas": 3, "flag": True, "list": [1]},
    "status": {"phase": "Running"},
    "involvedObject": {"kind": "Pod", "name": "a,b"},
    "type": "Warning",
    "reason": "Killing",
}

FIELD_CASES = [
    ("", True),
    ("metadata.name=a", True),
    ("metadata.name==a", True),
    ("metadata.name!=a", False),
    ("metadata.name=a,metadata.namespace=b", True),
    ("metadata.name=a,metadata.namespace=c", False),
    ("spec.nodeName=local", True),
    ("spec.nodeName=", False),
    ("spec.missing=", True),
    ("spec.missing!=", False),
    ("spec.replicas=3", True),
    ("spec.flag=true", True),
    ("spec.list=", True),
    ("spec.unschedulable=false", True),
    ("status.phase!=Succeeded,status.phase!=Failed", True),
    ("involvedObject.kind=Pod,involvedObject.name=a\\,b", True),
    ("type=Warning,reason=Killing", True),
    ("type.deeper=", True),
]


@pytest.mark.parametrize(("text", "expected"), FIELD_CASES)
def test_fields(text, expected):
    assert parse_fields(text).matches(POD) is expected


@pytest.mark.parametrize("text", ["a", "=b", "a,b=c", "!=x"])
def test_bad_fields(text):
    with pytest.raises(SelectorError):
        parse_fields(text)


def test_exact():
    selector = parse_fields("metadata.name=a,metadata.namespace!=b")
    assert (selector.exact("metadata.name"), selector.exact("metadata.namespace")) == ("a", None)
    assert not selector.is_empty
    assert parse_fields("").is_empty


def test_field_text_of_numbers():
    assert field_text(POD, "spec.replicas") == "3"


EXPRESSIONS = [
    ({}, True),
    ({"matchLabels": {"app": "hello"}}, True),
    ({"matchLabels": {"app": "bye"}}, False),
    ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["hello"]}]}, True),
    ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["hello"]}]}, False),
    ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
    ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    ({"matchLabels": {"app": "hello"}, "matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}, True),
]


@pytest.mark.parametrize(("selector", "expected"), EXPRESSIONS)
def test_label_selector_object(selector, expected):
    assert from_label_selector(selector).matches_labels(LABELS) is expected


@pytest.mark.parametrize(
    "expression",
    [
        {"key": "a", "operator": "Near"},
        {"key": "a", "operator": "In"},
        {"key": "a", "operator": "Exists", "values": ["x"]},
        {"key": "", "operator": "Exists"},
    ],
)
def test_bad_label_selector_object(expression):
    with pytest.raises(SelectorError):
        from_label_selector({"matchExpressions": [expression]})


words = st.from_regex(r"[a-z]{1,4}", fullmatch=True)


@given(words, words, st.dictionaries(words, words, max_size=4))
def test_negation_is_complement(key, value, labels):
    assert parse_labels(f"{key}={value}").matches_labels(labels) is not parse_labels(f"{key}!={value}").matches_labels(
        labels
    )
    assert parse_labels(key).matches_labels(labels) is not parse_labels(f"!{key}").matches_labels(labels)
    assert parse_labels(f"{key} in ({value},zz)").matches_labels(labels) is not parse_labels(
        f"{key} notin ({value},zz)"
    ).matches_labels(labels)


@given(st.text(max_size=30))
def test_any_text_parses_or_is_refused(text):
    for parse in (parse_labels, parse_fields):
        try:
            parse(text)
        except SelectorError:
            pass
