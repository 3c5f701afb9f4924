"""Devices among a container's resources (`nvidia.com/gpu`, `nvidia.com/mig-1g.5gb`...): whole, and asked for by limits.

Pure. Kubernetes' rules for extended resources, told when the object is applied: otherwise they would be told by the
Deployment of each revision.
"""

from __future__ import annotations

from typing import Any

from tidegate.contracts import problems
from tidegate.contracts.problems import FieldProblem

Object = dict[str, Any]


def validate(container: Object) -> list[FieldProblem]:
    """Return what is wrong with a container's devices; paths are relative to the container."""
    resources = container.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    found = []
    for name in sorted({*limits, *requests}):
        if "/" not in name or name.partition("/")[0].endswith("kubernetes.io"):
            continue
        limit, request = (str(asked.get(name, "")) for asked in (limits, requests))
        path = f"resources.limits[{name}]"
        if not limit:
            found.append(FieldProblem("a device is asked for by its limit", (path,)))
        elif not limit.isdecimal():
            found.append(problems.invalid(limit, path, "devices are whole: shares of one have names of their own"))
        elif request not in ("", limit):
            found.append(problems.invalid(request, f"resources.requests[{name}]", f"expected the limit, {limit}"))
    return found
