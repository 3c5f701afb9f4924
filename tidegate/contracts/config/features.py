"""config-features: which optional behaviours and pod fields are switched on.

A flag is Enabled, Allowed or Disabled; an unknown value leaves the default. Which flags must be Enabled and which
need only not be Disabled is the validator's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.contracts import problems
from tidegate.contracts.problems import FieldProblem

ENABLED, ALLOWED, DISABLED = "Enabled", "Allowed", "Disabled"
SECURE_DEFAULTS = (DISABLED, "AllowRootBounded", ENABLED)
_VALUES = {value.lower(): value for value in (ENABLED, ALLOWED, DISABLED, "AllowRootBounded")}
MODEL_FLAGS = frozenset(
    f"kubernetes.podspec-{name}"
    for name in (
        "affinity",
        "init-containers",
        "nodeselector",
        "persistent-volume-claim",
        "persistent-volume-write",
        "runtimeclassname",
        "tolerations",
        "topologyspreadconstraints",
        "volumes-emptydir",
    )
)
"""What model servers need of a pod: where it runs and what it mounts, nothing that reaches out of it."""
_DEFAULTS = {"multi-container": ENABLED, "kubernetes.podspec-volumes-emptydir": ENABLED}


@dataclass(frozen=True)
class Features:
    """Flags by their key in config-features."""

    flags: Mapping[str, str] = field(default_factory=dict)

    def state(self, key: str) -> str:
        """Return Enabled, Allowed or Disabled."""
        return self.flags.get(key, _DEFAULTS.get(key, DISABLED))

    def is_enabled(self, key: str) -> bool:
        """Whether the flag is Enabled."""
        return self.state(key) == ENABLED

    def with_enabled(self, keys: Iterable[str]) -> Features:
        """Return these flags with some of them Enabled."""
        return Features({**self.flags, **dict.fromkeys(keys, ENABLED)})

    def is_permitted(self, key: str) -> bool:
        """Whether the flag is anything but Disabled."""
        return self.state(key) != DISABLED


def problems_of(config_map: Mapping[str, Any] | None) -> list[FieldProblem]:
    """Return the flags that are not understood; a flag of that name is at its default all the same."""
    data = (config_map or {}).get("data") or {}
    found = []
    for key, text in data.items():
        allowed = SECURE_DEFAULTS if key == "secure-pod-defaults" else (ENABLED, ALLOWED, DISABLED)
        if not key.startswith("_") and str(text).lower() not in {value.lower() for value in allowed}:
            found.append(problems.invalid(text, key, f"write one of: {', '.join(allowed)}"))
    return found


def parse(config_map: Mapping[str, Any] | None) -> Features:
    """Return the flags; values that are not known are left at their default."""
    data = (config_map or {}).get("data") or {}
    return Features({key: _VALUES[str(text).lower()] for key, text in data.items() if str(text).lower() in _VALUES})
