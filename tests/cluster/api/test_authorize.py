"""What an HTTP request asks permission for."""

from __future__ import annotations

import pytest

from cluster.api import authorize, routing


@pytest.mark.parametrize(
    ("method", "query", "verb", "name"),
    [
        ("GET", {}, "list", ""),
        ("GET", {"watch": "true"}, "watch", ""),
        ("GET", {"fieldSelector": "metadata.name=report-key"}, "list", "report-key"),
        ("GET", {"fieldSelector": "metadata.name==report-key", "watch": "1"}, "watch", "report-key"),
        ("GET", {"fieldSelector": "type=Opaque,metadata.name=report-key"}, "list", "report-key"),
        ("GET", {"fieldSelector": "metadata.name!=report-key"}, "list", ""),
        ("POST", {"fieldSelector": "metadata.name=report-key"}, "create", ""),
    ],
)
def test_a_list_of_one_name_asks_for_that_name(method: str, query: dict[str, str], verb: str, name: str) -> None:
    target = routing.parse("/api/v1/namespaces/tidegate-system/secrets")
    assert target
    question = authorize.question_of(method, query, target)
    assert (question.verb, question.name) == (verb, name)
