"""The character rules of Kubernetes names, label keys and label values.

Pure. Each check returns "" when the text is good, otherwise what is wrong with it, ready to be put behind
`Invalid value: "x": `. It does not know which field of which kind takes which rule; `builtins` and `selectors` do.
"""

from __future__ import annotations

import re

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_SERVICE = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_DATA_KEY = "[-._a-zA-Z0-9]+"

_is_label = re.compile(_LABEL).fullmatch
_is_subdomain = re.compile(_SUBDOMAIN).fullmatch
_is_service = re.compile(_SERVICE).fullmatch
_is_qualified = re.compile(_QUALIFIED).fullmatch
_is_data_key = re.compile(_DATA_KEY).fullmatch
_is_port_name = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*").fullmatch


def dns_label(text: str) -> str:
    """Check an RFC 1123 label (namespaces, container names, port names of Services)."""
    if len(text) > 63:
        return "must be no more than 63 characters"
    return "" if _is_label(text) else f"a lowercase RFC 1123 label must match '{_LABEL}'"


def dns_subdomain(text: str) -> str:
    """Check an RFC 1123 subdomain (names of most objects)."""
    if len(text) > 253:
        return "must be no more than 253 characters"
    return "" if _is_subdomain(text) else f"a lowercase RFC 1123 subdomain must match '{_SUBDOMAIN}'"


def dns_1035(text: str) -> str:
    """Check an RFC 1035 label (names of Services): as a label, but it starts with a letter."""
    if len(text) > 63:
        return "must be no more than 63 characters"
    return "" if _is_service(text) else f"a DNS-1035 label must match '{_SERVICE}'"


def path_segment(text: str) -> str:
    """Check a name that only has to survive in a URL path (RBAC objects)."""
    if text in (".", ".."):
        return f"may not be '{text}'"
    bad = next((mark for mark in "/%" if mark in text), "")
    return f"may not contain '{bad}'" if bad else ""


def qualified(text: str) -> str:
    """Check a label or annotation key: an optional DNS prefix, a slash and a name of at most 63 characters."""
    prefix, slash, name = text.rpartition("/")
    if slash:
        if not prefix:
            return "prefix part must be non-empty"
        problem = dns_subdomain(prefix)
        if problem:
            return f"prefix part {problem}"
    if not name:
        return "name part must be non-empty"
    if len(name) > 63:
        return "name part must be no more than 63 characters"
    return "" if _is_qualified(name) else f"name part must match '{_QUALIFIED}'"


def label_value(text: str) -> str:
    """Check a label's value: empty, or at most 63 letters, digits, '-', '_' and '.'."""
    if len(text) > 63:
        return "must be no more than 63 characters"
    return "" if not text or _is_qualified(text) else f"a valid label must be an empty string or match '{_QUALIFIED}'"


def data_key(text: str) -> str:
    """Check a key of a ConfigMap's or Secret's data."""
    if len(text) > 253:
        return "must be no more than 253 characters"
    if text in (".", "..") or text.startswith(".."):
        return "must not be '.' or begin with '..'"
    return "" if _is_data_key(text) else f"a valid config key must match '{_DATA_KEY}'"


def env_name(text: str) -> str:
    """Check the name of an environment variable (any printable ASCII but '=')."""
    good = bool(text) and all(" " <= mark <= "~" and mark != "=" for mark in text)
    return "" if good else "a valid environment variable name must consist only of printable ASCII other than '='"


def port_name(text: str) -> str:
    """Check a container port's name (IANA service name): at most 15 characters with at least one letter."""
    if len(text) > 15:
        return "must be no more than 15 characters"
    if not _is_port_name(text):
        return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    return "" if any(mark.isalpha() for mark in text) else "must contain at least one letter (a-z)"
