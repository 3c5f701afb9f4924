"""Kubernetes label selectors (metav1.LabelSelector) as ConfigMaps have them: parsed from YAML, asked about labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec


class Expression(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One requirement; `values` are for In and NotIn."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet the requirement."""
        if self.operator in ("Exists", "DoesNotExist"):
            return (self.key in labels) is (self.operator == "Exists")
        return (labels.get(self.key) in self.values) is (self.operator == "In")


class Selector(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """All of its parts must hold; without any it selects everything."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[Expression, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the selector is about an object with these labels."""
        return self.match_labels.items() <= labels.items() and all(one.holds(labels) for one in self.match_expressions)


def parse(text: str) -> Selector:
    """Return the selector that YAML (or JSON) says; raises ValueError."""
    try:
        selector = msgspec.yaml.decode(text, type=Selector)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    if any(bool(one.values) is not (one.operator in ("In", "NotIn")) for one in selector.match_expressions):
        raise ValueError("In and NotIn need values, Exists and DoesNotExist have none")
    return selector
