"""Character rules of names, label keys and values."""

import pytest

from cluster.api import names

CASES = [
    (names.dns_label, ["a", "my-name", "123-abc", "a" * 63], ["", "A", "-a", "a-", "a.b", "a" * 64]),
    (names.dns_subdomain, ["a", "a.b-c.d", "1.2", "a" * 253], ["", ".a", "a.", "a..b", "a_b", "a" * 254]),
    (names.dns_1035, ["a", "my-name", "abc-1"], ["", "1a", "a-", "a.b", "a" * 64]),
    (names.path_segment, ["system:node", "Any Thing"], [".", "..", "a/b", "a%b"]),
    (
        names.qualified,
        ["app", "App_1.x", "serving.knative.dev/revision", "a/" + "b" * 63],
        ["", "/a", "a/", "-a", "a/b/c", "A.B/c", "a b", "a" * 64],
    ),
    (names.label_value, ["", "a", "A.b_c-1", "a" * 63], ["-a", "a-", "a b", "a/b", "a" * 64]),
    (names.data_key, ["a", "_example", "config.yaml", ".a"], ["", ".", "..", "..a", "a b", "a/b", "a" * 254]),
    (names.env_name, ["A", "a.b-c", "1A", "%x"], ["", "A=B", "é", "a\n"]),
    (names.port_name, ["http", "h2c", "http-1"], ["", "80", "Http", "-a", "a--b", "a" * 16]),
]


@pytest.mark.parametrize(("check", "good", "bad"), CASES, ids=[case[0].__name__ for case in CASES])
def test_rule(check, good, bad):
    assert {text: check(text) for text in good} == dict.fromkeys(good, "")
    assert [text for text in bad if not check(text)] == []
