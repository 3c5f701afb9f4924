"""Rules for the kinds that extend the API (CustomResourceDefinitions, webhooks) and for the small coordination kinds.

Pure. One function per kind: the object and the one it replaces (None on create) to findings, as `builtin_validation`.
"""

from __future__ import annotations

from collections.abc import Iterator

from cluster.api import cel_rules, expressions, names
from cluster.api.field_errors import FieldError, duplicate, forbidden, invalid, required, unsupported
from tidegate.kube.api import Object


def check_endpoint_slice(obj: Object, old: Object | None) -> list[FieldError]:
    """Check an EndpointSlice: its address type, addresses and ports."""
    kinds = ("IPv4", "IPv6", "FQDN")
    kind = obj.get("addressType")
    found = [] if kind else [required("addressType")]
    if kind and kind not in kinds:
        found.append(unsupported("addressType", kind, kinds))
    if old is not None and old.get("addressType") != kind:
        found.append(invalid("addressType", kind, "field is immutable"))
    for index, endpoint in enumerate(obj.get("endpoints") or []):
        if not endpoint.get("addresses"):
            found.append(required(f"endpoints[{index}].addresses", "must contain at least 1 address"))
    seen: set[str] = set()
    for index, port in enumerate(obj.get("ports") or []):
        name = port.get("name") or ""
        if name in seen:
            found.append(duplicate(f"ports[{index}].name", name))
        seen.add(name)
    return found


def check_lease(obj: Object, _: Object | None) -> list[FieldError]:
    """Check a Lease: durations and counts."""
    spec = obj.get("spec") or {}
    found = []
    if spec.get("leaseDurationSeconds") is not None and spec["leaseDurationSeconds"] <= 0:
        found.append(invalid("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], "must be greater than 0"))
    if (spec.get("leaseTransitions") or 0) < 0:
        found.append(invalid("spec.leaseTransitions", spec["leaseTransitions"], "must be greater than or equal to 0"))
    return found


def check_event(obj: Object, _: Object | None) -> list[FieldError]:
    """Check an Event: it lies in the namespace of the object it is about."""
    about = (obj.get("involvedObject") or {}).get("namespace") or "default"
    place = (obj.get("metadata") or {}).get("namespace") or about
    return [] if about == place else [invalid("involvedObject.namespace", about, "does not match event.namespace")]


# CustomResourceDefinitions


def check_definition(obj: Object, old: Object | None) -> list[FieldError]:
    """Check a CustomResourceDefinition: names, scope, versions, and that group and kind stay."""
    spec, name = obj.get("spec") or {}, (obj.get("metadata") or {}).get("name", "")
    words = spec.get("names") or {}
    found = [required(f"spec.{field}") for field in ("group", "scope") if not spec.get(field)]
    found += [required(f"spec.names.{field}") for field in ("plural", "kind") if not words.get(field)]
    if not found and name != f"{words['plural']}.{spec['group']}":
        found.append(invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    if spec.get("scope") and spec["scope"] not in ("Cluster", "Namespaced"):
        found.append(unsupported("spec.scope", spec["scope"], ("Cluster", "Namespaced")))
    found += _check_versions(spec.get("versions") or [])
    before = (old or {}).get("spec") or {}
    for field in ("group", "scope"):
        if before and before.get(field) != spec.get(field):
            found.append(invalid(f"spec.{field}", spec.get(field), "field is immutable"))
    if before and (before.get("names") or {}).get("kind") != words.get("kind"):
        found.append(invalid("spec.names.kind", words.get("kind"), "field is immutable"))
    return found


def _check_versions(versions: list[Object]) -> Iterator[FieldError]:
    if not versions:
        yield required("spec.versions", "must have at least one version")
        return
    seen: set[str] = set()
    for index, version in enumerate(versions):
        path, name = f"spec.versions[{index}]", version.get("name")
        if not name:
            yield required(f"{path}.name")
        elif names.dns_1035(name):
            yield invalid(f"{path}.name", name, names.dns_1035(name))
        elif name in seen:
            yield duplicate(f"{path}.name", name)
        seen.add(name or "")
        if not isinstance((version.get("schema") or {}).get("openAPIV3Schema"), dict):
            yield required(f"{path}.schema.openAPIV3Schema", "schemas are required")
            continue
        for error, _ in cel_rules.check_schema(version["schema"]["openAPIV3Schema"], f"{path}.schema.openAPIV3Schema"):
            if error is not None:
                yield error
    stored = [version for version in versions if version.get("storage")]
    if len(stored) != 1:
        yield invalid(
            "spec.versions",
            [version.get("name") for version in stored],
            "must have exactly one version marked as storage version",
        )


# Webhooks


def check_webhooks(obj: Object, _: Object | None) -> list[FieldError]:
    """Check a webhook configuration: every webhook has a name, a place to call, side effects and review versions."""
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, webhook in enumerate(obj.get("webhooks") or []):
        path, name = f"webhooks[{index}]", webhook.get("name") or ""
        if not name:
            found.append(required(f"{path}.name"))
        elif name.count(".") < 2 or names.dns_subdomain(name):
            found.append(
                invalid(f"{path}.name", name, "should be a domain with at least three segments separated by dots")
            )
        elif name in seen:
            found.append(duplicate(f"{path}.name", name))
        seen.add(name)
        found += _check_client(webhook.get("clientConfig") or {}, f"{path}.clientConfig")
        found += _check_webhook(webhook, path)
    return found


def _check_client(client: Object, path: str) -> Iterator[FieldError]:
    if bool(client.get("url")) is bool(client.get("service")):
        yield required(path, "exactly one of url or service is required")
    elif client.get("service"):
        for field in ("name", "namespace"):
            if not client["service"].get(field):
                yield required(f"{path}.service.{field}")


def _check_webhook(webhook: Object, path: str) -> Iterator[FieldError]:
    if webhook.get("sideEffects") not in ("None", "NoneOnDryRun"):
        yield unsupported(f"{path}.sideEffects", webhook.get("sideEffects"), ("None", "NoneOnDryRun"))
    if webhook.get("failurePolicy") not in ("Ignore", "Fail"):
        yield unsupported(f"{path}.failurePolicy", webhook.get("failurePolicy"), ("Fail", "Ignore"))
    if not webhook.get("admissionReviewVersions"):
        yield required(f"{path}.admissionReviewVersions", "must specify one of v1, v1beta1")
    if not 1 <= (webhook.get("timeoutSeconds") or 10) <= 30:
        yield invalid(f"{path}.timeoutSeconds", webhook["timeoutSeconds"], "must be between 1 and 30 seconds")
    for index, condition in enumerate(webhook.get("matchConditions") or []):
        where, text = f"{path}.matchConditions[{index}]", str(condition.get("expression") or "")
        if not condition.get("name"):
            yield required(f"{where}.name")
        try:
            expressions.compiled(text)
        except expressions.BadExpression as error:
            yield invalid(f"{where}.expression", text, f"compilation failed: {error}")
        except expressions.NotEnforced as error:
            yield invalid(f"{where}.expression", text, str(error))
    for index, rule in enumerate(webhook.get("rules") or []):
        for field in ("operations", "apiGroups", "apiVersions", "resources"):
            if not rule.get(field):
                yield required(f"{path}.rules[{index}].{field}")


def check_priority_class(obj: Object, old: Object | None) -> list[FieldError]:
    """Check a PriorityClass: its value never changes."""
    changed = old is not None and old.get("value") != obj.get("value")
    return [forbidden("value", "may not be changed in an update.")] if changed else []
