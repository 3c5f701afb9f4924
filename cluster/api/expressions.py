"""(pure) CEL expressions: compiled once, evaluated on JSON values, with the functions that Kubernetes adds.

The language is the library's (`common-expression-language`, an extra of its own); without it, or for syntax it does not
read (`.?` and `[?`), `compiled` says so and callers tell the client that a rule is not enforced. The library is
imported at the first rule: most clusters have none.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

UNREAD = re.compile(r"\.\?|\[\?")
"""Optional field selection, which the library does not read."""


class BadExpression(Exception):
    """The expression cannot be compiled; the message says where."""


class NotEnforced(Exception):
    """The expression is one that this server cannot evaluate."""


class EvaluationFailed(Exception):
    """The expression met a value it cannot work on."""


def _url(text: str) -> dict[str, str]:
    parts = urlsplit(text)
    if not parts.scheme and not text.startswith("/"):
        raise ValueError(f"{text!r} is no URL")
    host = parts.netloc.rpartition("@")[2]
    return {
        "scheme": parts.scheme,
        "host": host,
        "path": parts.path,
        "name": parts.hostname or "",
        "port": str(parts.port or ""),
    }


def _is(check: Callable[[str], Any]) -> Callable[[str], bool]:
    def holds(text: str) -> bool:
        try:
            check(text)
        except ValueError:
            return False
        return True

    return holds


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    return text.replace(old, new, count)


def _split(text: str, separator: str, count: int = -1) -> list[str]:
    return text.split(separator, count - 1 if count > 0 else -1)


def _find(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    return found[0] if found else ""


def _index(values: Any, wanted: Any) -> int:
    if isinstance(values, str):
        return values.find(wanted)
    return values.index(wanted) if wanted in values else -1


def _last_index(values: Any, wanted: Any) -> int:
    if isinstance(values, str):
        return values.rfind(wanted)
    return len(values) - 1 - values[::-1].index(wanted) if wanted in values else -1


FUNCTIONS: dict[str, Callable[..., Any]] = {
    # lists
    "sum": sum,
    "isSorted": lambda values: values == sorted(values),
    "indexOf": _index,
    "lastIndexOf": _last_index,
    "join": lambda values, separator="": separator.join(values),
    # strings
    "lowerAscii": lambda text: text.lower(),
    "upperAscii": lambda text: text.upper(),
    "trim": lambda text: text.strip(),
    "replace": _replace,
    "split": _split,
    "substring": lambda text, start, end=None: text[start:end],
    "charAt": lambda text, index: text[index : index + 1],
    "find": _find,
    "findAll": lambda text, pattern, count=-1: [m[0] for m in re.finditer(pattern, text)][
        : None if count < 0 else count
    ],
    # urls and addresses
    "url": _url,
    "isURL": _is(_url),
    "getScheme": lambda url: url["scheme"],
    "getHost": lambda url: url["host"],
    "getHostname": lambda url: url["name"],
    "getPort": lambda url: url["port"],
    "getEscapedPath": lambda url: url["path"],
    "isIP": _is(ipaddress.ip_address),
    "isCIDR": _is(ipaddress.ip_network),
}


# What the language has without help.
STANDARD = frozenset(
    {"size", "matches", "startsWith", "endsWith", "contains", "int", "uint", "double", "string"}
    | {"bytes", "bool", "type", "dyn", "duration", "timestamp", "getFullYear", "getMonth", "getDate"}
    | {"getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds"}
    | {"getMilliseconds", "of", "none", "ofNonZeroValue", "hasValue", "value", "orValue", "or"}
)


@functools.lru_cache(maxsize=2048)
def compiled(expression: str) -> Any:
    """Return the program of an expression; raises `BadExpression` or `NotEnforced`."""
    if UNREAD.search(expression):
        raise NotEnforced("optional fields (`.?`) are not read by this server")
    try:
        import cel
    except ImportError:
        raise NotEnforced("common-expression-language is not installed") from None
    try:
        program = cel.compile(expression)
    except ValueError as error:
        raise BadExpression(str(error).splitlines()[0]) from error
    known = {name.rpartition(".")[2] for name in _functions()} | STANDARD
    unknown = [name for name in program.functions() if name.isidentifier() and name not in known]
    if unknown or "authorizer" in program.variables():
        raise NotEnforced(f"{unknown[0] if unknown else 'authorizer'} is not known to this server")
    return program


@functools.cache
def _functions() -> dict[str, Callable[..., Any]]:
    """Return the functions beside the standard ones: the library's own, and what Kubernetes adds or has otherwise."""
    from cel import stdlib

    return {**stdlib.STDLIB_FUNCTIONS, **FUNCTIONS}


def evaluate(expression: str, variables: dict[str, Any]) -> Any:
    """Return the value of an expression; raises `BadExpression`, `NotEnforced` or `EvaluationFailed`."""
    program = compiled(expression)
    import cel

    try:
        return program.execute(cel.Context(variables, _functions()))
    except Exception as error:  # the library raises whatever Python has for the fault
        raise EvaluationFailed(f"{type(error).__name__}: {error}") from error
