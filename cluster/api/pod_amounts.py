"""(pure) What a pod asks for and is limited to, summed over its containers as the scheduler and quotas see it.

The sum of the containers, or the largest init container when that is more; sidecars (init containers that restart
always) count with the containers. Amounts that cannot be read count as zero: validation has told about them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from cluster import quantities
from tidegate.kube.api import Object

Amounts = dict[str, Decimal]


def of_pod(spec: Object, field: str) -> Amounts:
    """Return a pod's amounts by resource; `field` is `requests` or `limits`."""
    total: Amounts = {}
    for container in spec.get("containers") or []:
        total = plus(total, of_container(container, field))
    largest: Amounts = {}
    for container in spec.get("initContainers") or []:
        amounts = of_container(container, field)
        if container.get("restartPolicy") == "Always":
            total = plus(total, amounts)
        else:
            largest = {
                name: max(largest.get(name, Decimal(0)), amounts.get(name, Decimal(0))) for name in {*largest, *amounts}
            }
    total = {name: max(total.get(name, Decimal(0)), largest.get(name, Decimal(0))) for name in {*total, *largest}}
    return plus(total, read(spec.get("overhead") or {}))


def of_container(container: Object, field: str) -> Amounts:
    """Return one container's `requests` or `limits`."""
    return read((container.get("resources") or {}).get(field) or {})


def read(amounts: Object) -> Amounts:
    """Return quantities as numbers, without those that are none."""
    found = {name: amount(value) for name, value in amounts.items()}
    return {name: value for name, value in found.items() if value is not None}


def amount(value: Any) -> Decimal | None:
    """Return one quantity as a number, None for anything else."""
    try:
        return quantities.parse(value)
    except ValueError:
        return None


def plus(left: Amounts, right: Amounts, sign: int = 1) -> Amounts:
    """Return the sum (or, with `sign` -1, the difference) by name."""
    return {name: left.get(name, Decimal(0)) + sign * right.get(name, Decimal(0)) for name in {*left, *right}}
