"""The JSONPath that printer columns and scale subresources use. Pure.

Supported: `.a.b`, `['a']`, `\\.` inside a name, `[0]`, `[-1]`, `[*]`, and filters `[?(@.type=="Ready")]` with ==, !=,
or existence. Braces around the whole are optional. Anything else finds nothing rather than failing a whole table.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from cluster.api.json_values import same

_STEP = re.compile(
    r"""\.?\[\s*(?:
            (?P<index>-?\d+) | (?P<all>\*) | '(?P<single>[^']*)' | "(?P<double>[^"]*)"
            | \?\(\s*@(?P<field>[^=!<>)\s]*)\s*(?:(?P<op>==|!=)\s*(?P<value>[^)]*?))?\s*\)
        )\s*\]
        | \.(?P<every>\*)
        | \.(?P<name>(?:\\.|[^.\[\]\\])+)""",
    re.VERBOSE,
)


class _Step(NamedTuple):
    kind: str
    argument: Any = None
    operator: str = ""
    value: Any = None


def jsonpath(obj: Any, path: str) -> list[Any]:
    """Return every value at `path`; an empty list when there is none or the path is not understood."""
    steps = _parsed(path)
    found = [obj] if steps is not None else []
    for step in steps or ():
        found = [value for node in found for value in _taken(node, step)]
    return found


@functools.lru_cache(maxsize=1024)
def _parsed(path: str) -> tuple[_Step, ...] | None:
    text = path.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1].strip()
    text = text.removeprefix("$")
    if text and text[0] not in ".[":
        text = f".{text}"
    steps, at = [], 0
    while at < len(text) and text[at:] != ".":
        match = _STEP.match(text, at)
        if match is None:
            return None
        step = _step(match)
        if step is None:
            return None
        steps.append(step)
        at = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> _Step | None:
    if match["index"] is not None:
        return _Step("index", int(match["index"]))
    if match["all"] or match["every"]:
        return _Step("all")
    if match["field"] is not None:
        inner = _parsed(match["field"])
        return None if inner is None else _Step("filter", match["field"], match["op"] or "", _literal(match["value"]))
    name = match["single"] if match["single"] is not None else match["double"]
    return _Step("name", re.sub(r"\\(.)", r"\1", name if name is not None else match["name"]))


def _literal(text: str | None) -> Any:
    if text is None:
        return None
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else text


def _taken(node: Any, step: _Step) -> Iterable[Any]:
    if step.kind == "name":
        return [node[step.argument]] if isinstance(node, dict) and node.get(step.argument) is not None else []
    if step.kind == "index":
        inside = isinstance(node, list) and -len(node) <= step.argument < len(node)
        return [node[step.argument]] if inside else []
    if step.kind == "all":
        return list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
    return [item for item in node if _holds(item, step)] if isinstance(node, list) else []


def _holds(item: Any, step: _Step) -> bool:
    values = jsonpath(item, step.argument)
    if not step.operator:
        return bool(values)
    equal = any(same(value, step.value) for value in values)
    return equal if step.operator == "==" else bool(values) and not equal
