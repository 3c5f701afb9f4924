"""X-Forwarded-* and Forwarded for the next hop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.wire.forwarded import NOTHING, Existing, elements_of, existing_of, forwarding_lines


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


ELEMENTS = {
    "for=192.0.2.60;proto=http;by=203.0.113.43": [{"for": "192.0.2.60", "proto": "http", "by": "203.0.113.43"}],
    "for=192.0.2.43, for=198.51.100.17": [{"for": "192.0.2.43"}, {"for": "198.51.100.17"}],
    'For="[2001:db8:cafe::17]:4711"': [{"for": "[2001:db8:cafe::17]:4711"}],
    'for="_gazonk"': [{"for": "_gazonk"}],
    "for=unknown ; proto=https": [{"for": "unknown", "proto": "https"}],
    'host="a, b;c=d"; for=1.2.3.4': [{"host": "a, b;c=d", "for": "1.2.3.4"}],
    'host="a\\"b"': [{"host": 'a"b'}],
    ", ,for=1.2.3.4,": [{"for": "1.2.3.4"}],
}
MALFORMED = [
    "for",
    "for=",
    "for=[::1]",
    'for="1.2.3.4',
    "for=1.2.3.4 x=y",
    "=a",
    "for=1;for=2",
    'for="a"b',
    "for=1.2.3.4:80",
]


@pytest.mark.parametrize("text", ELEMENTS)
def test_elements(text: str) -> None:
    assert elements_of(text) == ELEMENTS[text]


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_forwarded_counts_as_absent(text: str) -> None:
    assert elements_of(text) == []
    existing = Existing(text, "9.9.9.9", "", "")
    got = fields(forwarding_lines("10.0.0.2", "http", "a", existing, trust=True))
    assert got["Forwarded"] == "for=9.9.9.9, for=10.0.0.2;host=a;proto=http"


@pytest.mark.parametrize(
    ("forwarded", "x_for", "x_proto", "x_host"),
    [
        ("for=9.9.9.9;proto=https;host=first.example", "9.9.9.9", "https", "first.example"),
        ('for="[2001:db8::1]:443", for="8.8.8.8:99"', "2001:db8::1, 8.8.8.8", "http", "a"),
        ('for=_hidden;proto=https, for="[2001:db8::2]"', "_hidden, 2001:db8::2", "https", "a"),
        ("by=1.1.1.1;proto=https", "unknown", "https", "a"),
    ],
)
def test_x_forwarded_is_made_from_forwarded_where_it_is_missing(
    forwarded: str, x_for: str, x_proto: str, x_host: str
) -> None:
    got = fields(forwarding_lines("10.0.0.2", "http", "a", Existing(forwarded), trust=True))
    assert got == {
        "X-Forwarded-For": f"{x_for}, 10.0.0.2",
        "X-Forwarded-Proto": x_proto,
        "X-Forwarded-Host": x_host,
        "Forwarded": f"{forwarded}, for=10.0.0.2;host=a;proto=http",
    }


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60))
def test_whatever_comes_what_goes_on_can_be_read(text: str) -> None:
    lines = forwarding_lines("10.0.0.2", "http", "a", Existing(text.strip()), trust=True)
    assert lines.count(b"\r\n") == 4
    assert elements_of(fields_latin(lines)["Forwarded"])[-1] == {"for": "10.0.0.2", "host": "a", "proto": "http"}


def fields_latin(lines: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in lines.decode("latin-1").split("\r\n") if line)
