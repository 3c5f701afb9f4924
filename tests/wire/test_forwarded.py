"""X-Forwarded-* and Forwarded for the next hop."""

from __future__ import annotations

import pytest

from tidegate.wire.forwarded import NOTHING, Existing, existing_of, forwarding_lines


def fields(lines: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in lines.decode().split("\r\n") if line)


def test_fresh() -> None:
    assert forwarding_lines("10.1.2.3", "http", "a.example:8080") == (
        b"X-Forwarded-For: 10.1.2.3\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example:8080\r\n"
        b'Forwarded: for=10.1.2.3;host="a.example:8080";proto=http\r\n'
    )


@pytest.mark.parametrize(
    ("peer", "node"),
    [
        ("2001:db8::1", '"[2001:db8::1]"'),
        ("fe80::1%eth0", '"[fe80::1]"'),
        ("::ffff:10.0.0.1", '"[::ffff:10.0.0.1]"'),
        ("10.0.0.1", "10.0.0.1"),
        ("", "unknown"),
        ("_hidden", "_hidden"),
    ],
)
def test_nodes(peer: str, node: str) -> None:
    assert fields(forwarding_lines(peer, "https", ""))["Forwarded"] == f"for={node};proto=https"


def test_untrusted_values_are_forgotten() -> None:
    existing = Existing("for=evil", "6.6.6.6", "https", "evil.example")
    assert forwarding_lines("1.1.1.1", "http", "a", existing) == forwarding_lines("1.1.1.1", "http", "a")


def test_trusted_lists_grow_at_the_end() -> None:
    existing = Existing("for=9.9.9.9;proto=https", "9.9.9.9, 8.8.8.8", "https", "first.example")
    got = fields(forwarding_lines("10.0.0.2", "http", "a", existing, trust=True))
    assert got == {
        "X-Forwarded-For": "9.9.9.9, 8.8.8.8, 10.0.0.2",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "first.example",
        "Forwarded": "for=9.9.9.9;proto=https, for=10.0.0.2;host=a;proto=http",
    }


def test_forwarded_is_made_from_x_forwarded_where_it_is_missing() -> None:
    existing = Existing("", "2001:db8::1, 8.8.8.8:99", "https, http", "first.example")
    got = fields(forwarding_lines("10.0.0.2", "http", "a", existing, trust=True))
    assert got["Forwarded"] == (
        'for="[2001:db8::1]";host=first.example;proto=https, for="8.8.8.8:99", for=10.0.0.2;host=a;proto=http'
    )


def test_trust_without_values_is_fresh() -> None:
    assert forwarding_lines("1.1.1.1", "http", "a", NOTHING, trust=True) == forwarding_lines("1.1.1.1", "http", "a")


def test_quotes_are_escaped() -> None:
    assert b'host="a\\"b"' in forwarding_lines("1.1.1.1", "http", 'a"b')


def test_existing_joins_lines_of_one_name() -> None:
    headers = [(b"X-Forwarded-For", b"1.1.1.1"), (b"x-forwarded-FOR", b" 2.2.2.2 "), (b"Forwarded", b""), (b"X", b"y")]
    assert existing_of(headers) == Existing("", "1.1.1.1, 2.2.2.2", "", "")
