"""Label and field selectors: the texts of `?labelSelector=` and `?fieldSelector=`, and `spec.selector` objects.

Pure. A selector is parsed once and then asked for every object of a list and every event of a watch, so `matches` does
no parsing. It does not decide which fields a kind may be selected by: any dotted path of scalars is answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.api import names
from tidegate.kube.api import Object

# Fields whose absence means a value other than the empty string.
_ABSENT = {"spec.unschedulable": "false", "spec.hostNetwork": "false"}

_REQUIREMENT = re.compile(
    r"\s*(?:"
    r"(?P<absent>!\s*)?(?P<bare>[^\s!=,()<>]+)"
    r"|(?P<set_key>[^\s!=,()<>]+)\s+(?P<set_op>in|notin)\s*\((?P<values>[^()]*)\)"
    r"|(?P<key>[^\s!=,()<>]+)\s*(?P<op>==|!=|=|<|>)\s*(?P<value>[^\s!=,()<>]*)"
    r")\s*"
)


class SelectorError(ValueError):
    """The text is not a selector; the message says why and is safe to show."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label; `operator` is in, notin, exists, !exists, < or >."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether labels fulfil it; an absent key fulfils notin and !exists."""
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!exists":
                return value is None
        return _compares(value, self.operator, self.values)


def _compares(value: str | None, operator: str, values: frozenset[str]) -> bool:
    try:
        number, bound = int(value or ""), int(next(iter(values)))
    except ValueError:
        return False
    return number > bound if operator == ">" else number < bound


@dataclass(frozen=True, slots=True)
class Selector:
    """All requirements must hold; none means every object."""

    requirements: tuple[Requirement, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it selects every object."""
        return not self.requirements

    def matches_labels(self, labels: Mapping[str, str] | None) -> bool:
        """Whether these labels are selected."""
        present = labels or {}
        return all(requirement.holds(present) for requirement in self.requirements)

    def matches(self, obj: Object) -> bool:
        """Whether the object's labels are selected."""
        return not self.requirements or self.matches_labels((obj.get("metadata") or {}).get("labels"))


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """All (path, wanted, equal) terms must hold; a missing field counts as the empty string."""

    terms: tuple[tuple[str, str, bool], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it selects every object."""
        return not self.terms

    def exact(self, path: str) -> str | None:
        """Return the value that `path` must equal, None when it is not asked for: lets a store look names up."""
        return next((wanted for term, wanted, equal in self.terms if equal and term == path), None)

    def matches(self, obj: Object) -> bool:
        """Whether the object's fields are selected."""
        return all((field_text(obj, path) == wanted) is equal for path, wanted, equal in self.terms)


def field_text(obj: Object, path: str) -> str:
    """Return the scalar at a dotted path as the text a field selector compares; "" when absent or no scalar."""
    node: Any = obj
    for part in path.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    if node is None or isinstance(node, dict | list):
        return _ABSENT.get(path, "")
    return str(node).lower() if isinstance(node, bool) else str(node)


def parse_labels(text: str) -> Selector:
    """Parse `a=b,c!=d,e in (f,g),h notin (i),j,!k`; raises SelectorError."""
    return Selector(tuple(_requirement(part) for part in _parts(text)))


def _parts(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for index, mark in enumerate(text):
        depth += (mark == "(") - (mark == ")")
        if mark == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return [] if len(parts) == 1 and not parts[0].strip() else parts


def _requirement(text: str) -> Requirement:
    found = _REQUIREMENT.fullmatch(text)
    if found is None:
        raise SelectorError(f"unable to parse requirement: {text.strip()!r}")
    if found["bare"]:
        return _checked(found["bare"], "!exists" if found["absent"] else "exists", ())
    if found["set_op"]:
        return _checked(found["set_key"], found["set_op"], [value.strip() for value in found["values"].split(",")])
    operator = {"=": "in", "==": "in", "!=": "notin"}.get(found["op"], found["op"])
    return _checked(found["key"], operator, [found["value"]])


def _checked(key: str, operator: str, values: list[str] | tuple[str, ...]) -> Requirement:
    problem = names.qualified(key)
    if problem:
        raise SelectorError(f'unable to parse requirement: key: Invalid value: "{key}": {problem}')
    if operator in ("<", ">") and not values[0].lstrip("-").isdigit():
        raise SelectorError(f'unable to parse requirement: values[0]: Invalid value: "{values[0]}": must be an integer')
    for index, value in enumerate(values):
        problem = names.label_value(value) if operator not in ("<", ">") else ""
        if problem:
            raise SelectorError(f'unable to parse requirement: values[{index}]: Invalid value: "{value}": {problem}')
    return Requirement(key, operator, frozenset(values))


def parse_fields(text: str) -> FieldSelector:
    """Parse `metadata.name=a,status.phase!=Running`; a backslash keeps `,`, `=` and itself; raises SelectorError."""
    terms = []
    for part in re.split(r"(?<!\\),", text):
        if not part.strip():
            continue
        found = re.fullmatch(r"((?:[^=!\\]|\\.)+?)(!=|==|=)(.*)", part.strip(), re.DOTALL)
        if found is None:
            raise SelectorError(f"invalid selector: '{part}'; can't understand '{part}'")
        terms.append((found[1].strip(), _unescaped(found[3]), found[2] != "!="))
    return FieldSelector(tuple(terms))


def _unescaped(text: str) -> str:
    return re.sub(r"\\([\\,=])", r"\1", text)


_EXPRESSIONS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!exists"}


def from_label_selector(selector: Object) -> Selector:
    """Build from a LabelSelector object (matchLabels, matchExpressions); an empty one selects everything."""
    requirements = [
        _checked(str(key), "in", [str(value)]) for key, value in (selector.get("matchLabels") or {}).items()
    ]
    for expression in selector.get("matchExpressions") or []:
        operator = _EXPRESSIONS.get(expression.get("operator", ""))
        if operator is None:
            raise SelectorError(f'"{expression.get("operator", "")}" is not a valid label selector operator')
        values = [str(value) for value in expression.get("values") or []]
        if bool(values) is not (operator in ("in", "notin")):
            raise SelectorError(f"values: wrong number for operator {expression['operator']}")
        requirements.append(_checked(str(expression.get("key", "")), operator, values))
    return Selector(tuple(requirements))


def selects(owner: Object, obj: Object) -> bool:
    """Whether the `spec.selector` of `owner` (a budget, say) is about `obj`; without one it is about nothing."""
    selector = (owner.get("spec") or {}).get("selector")
    if selector is None:
        return False
    try:
        return from_label_selector(selector).matches(obj)
    except SelectorError:
        return False
