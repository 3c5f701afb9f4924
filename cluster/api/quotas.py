"""(pure) ResourceQuota: what an object uses of one, and whether one more fits.

Names of resources, scopes and the words of refusals are those of Kubernetes, which tests of quota errors look for.
"""

from __future__ import annotations

from decimal import Decimal

from cluster import quantities
from cluster.api import pod_amounts
from cluster.api.pod_amounts import Amounts
from tidegate.kube.api import Object

ONE = Decimal(1)
COUNTED = {"pods", "services", "secrets", "configmaps", "persistentvolumeclaims", "resourcequotas"}
COMPUTE = {"cpu", "memory", "ephemeral-storage"}


def usage(plural: str, group: str, obj: Object) -> Amounts:
    """Return what one object uses, by the names that `spec.hard` of a quota may have."""
    if plural == "pods" and not group:
        return _pod_usage(obj)
    found = {f"count/{plural}.{group}" if group else f"count/{plural}": ONE}
    if not group and plural in COUNTED:
        found[plural] = ONE
    if not group and plural == "services":
        found |= _service_usage(obj)
    if not group and plural == "persistentvolumeclaims":
        requests = (((obj.get("spec") or {}).get("resources") or {}).get("requests")) or {}
        found |= {f"requests.{name}": value for name, value in pod_amounts.read(requests).items()}
    return found


def _pod_usage(pod: Object) -> Amounts:
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return {"count/pods": ONE}
    found = {"count/pods": ONE, "pods": ONE}
    spec = pod.get("spec") or {}
    for name, value in pod_amounts.of_pod(spec, "requests").items():
        found[f"requests.{name}"] = value
        if name in COMPUTE:
            found[name] = value
    found |= {f"limits.{name}": value for name, value in pod_amounts.of_pod(spec, "limits").items()}
    return found


def _service_usage(service: Object) -> Amounts:
    spec = service.get("spec") or {}
    kind = spec.get("type")
    found: Amounts = {}
    if kind == "LoadBalancer":
        found["services.loadbalancers"] = ONE
    if kind in ("LoadBalancer", "NodePort"):
        found["services.nodeports"] = Decimal(len(spec.get("ports") or []))
    return found


def concerns(quota: Object, plural: str, group: str, obj: Object) -> bool:
    """Whether the quota's scopes include the object; a quota with scopes counts pods only."""
    spec: Object = quota.get("spec") or {}
    scopes: list[tuple[str, str, list[str]]] = [(scope, "Exists", []) for scope in spec.get("scopes") or []]
    for one in (spec.get("scopeSelector") or {}).get("matchExpressions") or []:
        scopes.append((one.get("scopeName", ""), one.get("operator", "Exists"), one.get("values") or []))
    if not scopes:
        return True
    if plural != "pods" or group:
        return False
    return all(_in_scope(obj, *scope) for scope in scopes)


def _in_scope(pod: Object, scope: str, operator: str, values: list[str]) -> bool:
    spec: Object = pod.get("spec") or {}
    match scope:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort" | "NotBestEffort":
            amounts = pod_amounts.of_pod(spec, "requests") | pod_amounts.of_pod(spec, "limits")
            return (not any(name in amounts for name in ("cpu", "memory"))) is (scope == "BestEffort")
        case "PriorityClass":
            name = spec.get("priorityClassName") or ""
            found = {"In": name in values, "NotIn": name not in values, "Exists": bool(name), "DoesNotExist": not name}
            return found.get(operator, False)
    return False


def refusal(quota: Object, used: Amounts, added: Amounts, old: Amounts, pod_spec: Object | None) -> str:
    """Return why a write does not fit, empty when it does.

    `used` is what the namespace uses now, `added` and `old` what the object will use and has used; `pod_spec` is given
    for a new pod, which must say what the quota limits.
    """
    hard = {name: str(value) for name, value in ((quota.get("spec") or {}).get("hard") or {}).items()}
    name = quota["metadata"]["name"]
    if pod_spec is not None and (missing := _unsaid(hard, pod_spec)):
        return f"failed quota: {name}: must specify {missing}"
    delta = pod_amounts.plus(added, old, -1)
    exceeded = []
    for resource, limit in sorted(hard.items()):
        limited = pod_amounts.amount(limit) or Decimal(0)
        more = delta.get(resource, Decimal(0))
        if more > 0 and used.get(resource, Decimal(0)) + more > limited:
            exceeded.append(resource)
    if not exceeded:
        return ""
    requested = _listed({resource: delta[resource] for resource in exceeded}, hard)
    present = _listed({resource: used.get(resource, Decimal(0)) for resource in exceeded}, hard)
    limits = ",".join(f"{resource}={hard[resource]}" for resource in exceeded)
    return f"exceeded quota: {name}, requested: {requested}, used: {present}, limited: {limits}"


def _unsaid(hard: dict[str, str], spec: Object) -> str:
    missing = []
    for resource in sorted(hard):
        field, _, amount_name = resource.rpartition(".")
        if resource in COMPUTE:
            field, amount_name = "requests", resource
        if field not in ("requests", "limits") or amount_name not in COMPUTE:
            continue
        silent = [
            str(one.get("name"))
            for one in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
            if amount_name not in pod_amounts.of_container(one, field)
        ]
        if silent:
            missing.append(f"{resource} for: {','.join(sorted(silent))}")
    return "; ".join(missing)


def _listed(amounts: Amounts, hard: dict[str, str]) -> str:
    return ",".join(f"{name}={quantities.text(value, hard[name])}" for name, value in amounts.items())


def status(quota: Object, used: Amounts) -> Object:
    """Return the status of a quota whose namespace uses `used`."""
    hard = (quota.get("spec") or {}).get("hard") or {}
    shown = {name: quantities.text(used.get(name, Decimal(0)), str(limit)) for name, limit in hard.items()}
    return {"hard": dict(hard), "used": shown}
