"""(pure) Which admission webhooks a write concerns, what they are asked, and what their answer means.

A hook matches by its rules (operation, group, version, resource, scope) and selectors. With matchPolicy Equivalent a
rule for another version of the same kind matches too, and the hook gets the object in that version.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import msgspec

from cluster.api import expressions, patch, selectors
from cluster.api.backend import CREATE, DELETE, UPDATE, Admitted
from tidegate.kube.api import ApiError, Object

REVIEW_VERSION = "admission.k8s.io/v1"
OPTIONS_KIND = {CREATE: "CreateOptions", UPDATE: "UpdateOptions", DELETE: "DeleteOptions"}
NEVER_REVIEWED = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")


class BadAnswer(Exception):
    """The webhook's answer is not an AdmissionReview that fits the question."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook of a configuration, as written there."""

    configuration: str
    spec: Object

    @property
    def name(self) -> str:
        """Its name, as messages quote it."""
        return str(self.spec["name"])

    @property
    def may_fail(self) -> bool:
        """Whether a call that cannot be made lets the write pass."""
        return self.spec.get("failurePolicy") == "Ignore"

    @property
    def timeout_s(self) -> float:
        """Seconds a call may take."""
        return float(self.spec.get("timeoutSeconds") or 10)

    @property
    def has_side_effects(self) -> bool:
        """Whether it must not be called on a dry run."""
        return self.spec.get("sideEffects") not in ("None", "NoneOnDryRun")


def matched_version(hook: Hook, write: Admitted, served: list[str], namespace_labels: dict[str, str]) -> str | None:
    """Return the version in which `hook` wants to see the write, None when it does not concern it.

    `served` are all versions of the kind; `namespace_labels` those of the object's namespace.
    """
    if write.kind.plural in NEVER_REVIEWED and write.kind.group == "admissionregistration.k8s.io":
        return None
    version = _version_by_rules(hook.spec, write, served)
    if version is None or not _selects_namespace(hook.spec, write, namespace_labels):
        return None
    return version if _selects_object(hook.spec, write) else None


def _version_by_rules(spec: Object, write: Admitted, served: list[str]) -> str | None:
    candidates = [write.kind.version]
    if spec.get("matchPolicy", "Equivalent") == "Equivalent":
        candidates += [version for version in served if version != write.kind.version]
    for version in candidates:
        if any(_rule_matches(rule, write, version) for rule in spec.get("rules") or []):
            return version
    return None


def _rule_matches(rule: Object, write: Admitted, version: str) -> bool:
    scope = rule.get("scope") or "*"
    wanted_scope = "Namespaced" if write.kind.namespaced else "Cluster"
    return (
        scope in ("*", wanted_scope)
        and _is_in(rule.get("operations"), write.operation)
        and _is_in(rule.get("apiGroups"), write.kind.group)
        and _is_in(rule.get("apiVersions"), version)
        and any(_resource_matches(one, write) for one in rule.get("resources") or [])
    )


def _is_in(listed: list[str] | None, value: str) -> bool:
    return "*" in (listed or ()) or value in (listed or ())


def _resource_matches(pattern: str, write: Admitted) -> bool:
    plural, _, subresource = pattern.partition("/")
    return plural in ("*", write.kind.plural) and (
        subresource == write.subresource or (subresource == "*" and "/" in pattern)
    )


def _selects_namespace(spec: Object, write: Admitted, namespace_labels: dict[str, str]) -> bool:
    selector = spec.get("namespaceSelector")
    is_namespace = write.kind.kind == "Namespace" and not write.kind.group
    if not selector or not (write.kind.namespaced or is_namespace):
        return True
    if is_namespace and write.obj is not None:
        namespace_labels = write.obj["metadata"].get("labels") or {}
    return selectors.from_label_selector(selector).matches_labels(namespace_labels)


def _selects_object(spec: Object, write: Admitted) -> bool:
    selector = spec.get("objectSelector")
    if not selector:
        return True
    parsed = selectors.from_label_selector(selector)
    return any(parsed.matches(obj) for obj in (write.obj, write.old) if obj is not None)


def conditions_hold(hook: Hook, review_object: Object) -> bool:
    """Whether the hook's matchConditions let it be asked; raises `BadAnswer` for one that fails where policy is Fail.

    `review_object` is the AdmissionReview that it would get.
    """
    conditions = hook.spec.get("matchConditions") or []
    request = review_object["request"]
    variables = {"request": request, "object": request.get("object"), "oldObject": request.get("oldObject")}
    failed = ""
    for one in conditions:
        try:
            if expressions.evaluate(str(one.get("expression")), variables) is not True:
                return False  # one that does not match wins over one that fails
        except (expressions.BadExpression, expressions.NotEnforced, expressions.EvaluationFailed) as error:
            failed = failed or f"match condition {one.get('name')!r}: {error}"
    if failed and not hook.may_fail:
        raise BadAnswer(failed)
    return not failed


def review(write: Admitted, version: str, uid: str) -> Object:
    """Return the AdmissionReview that asks about a write, with objects in `version`."""
    kind = write.kind
    wanted = {"group": kind.group, "version": version}
    original = {"group": kind.group, "version": kind.version}
    request: Object = {
        "uid": uid,
        "kind": wanted | {"kind": kind.kind},
        "resource": wanted | {"resource": kind.plural},
        "requestKind": original | {"kind": kind.kind},
        "requestResource": original | {"resource": kind.plural},
        "name": write.key.name,
        "namespace": write.key.namespace,
        "operation": write.operation,
        "userInfo": _user_info(write),
        "object": _versioned(write.obj, kind.group, version),
        "oldObject": _versioned(write.old, kind.group, version),
        "dryRun": write.call.dry_run,
        "options": _options(write),
    }
    if write.subresource:
        request["subResource"] = request["requestSubResource"] = write.subresource
    return {"apiVersion": REVIEW_VERSION, "kind": "AdmissionReview", "request": request}


def _user_info(write: Admitted) -> Object:
    user = write.call.user
    return {"username": user.name, "groups": list(user.groups)} | ({"uid": user.uid} if user.uid else {})


def _versioned(obj: Object | None, group: str, version: str) -> Object | None:
    return obj and obj | {"apiVersion": f"{group}/{version}" if group else version}


def _options(write: Admitted) -> Object:
    options: Object = {"apiVersion": "meta.k8s.io/v1", "kind": OPTIONS_KIND[write.operation]}
    if write.operation != DELETE:
        options["fieldManager"] = write.call.manager
    if write.call.dry_run:
        options["dryRun"] = ["All"]
    return options


@dataclass(frozen=True, slots=True)
class Verdict:
    """A webhook's answer: the refusal or None, JSON patch operations, and warnings for the client."""

    refusal: ApiError | None
    operations: list[Object]
    warnings: list[str]


def verdict(hook: Hook, answer: Any, uid: str) -> Verdict:
    """Read the AdmissionReview a webhook answered with; raises `BadAnswer`."""
    response = answer.get("response") if isinstance(answer, dict) else None
    if not isinstance(response, dict):
        raise BadAnswer("the webhook's answer has no response")
    if answer.get("apiVersion") != REVIEW_VERSION or answer.get("kind") != "AdmissionReview":
        raise BadAnswer(f"expected {REVIEW_VERSION}, Kind=AdmissionReview")
    if response.get("uid") != uid:
        raise BadAnswer(f"expected response.uid={uid}, got {response.get('uid')!r}")
    warnings = [str(text) for text in response.get("warnings") or []]
    if not response.get("allowed"):
        return Verdict(_refusal(hook, response.get("status") or {}), [], warnings)
    return Verdict(None, _operations(response), warnings)


def _refusal(hook: Hook, given: Object) -> ApiError:
    text = given.get("message") or given.get("reason") or ""
    denied = f'admission webhook "{hook.name}" denied the request'
    message = f"{denied}: {text}" if text else f"{denied} without explanation"
    code = int(given.get("code") or 0)
    return ApiError(code if code >= 400 else 400, given.get("reason") or "", message, given.get("details"))


def _operations(response: Object) -> list[Object]:
    text = response.get("patch")
    if not text:
        return []
    if response.get("patchType") != "JSONPatch":
        raise BadAnswer(f"invalid response.patchType: expected JSONPatch, got {response.get('patchType')!r}")
    try:
        operations: list[Object] = msgspec.json.decode(base64.b64decode(text))
    except (binascii.Error, msgspec.DecodeError) as error:
        raise BadAnswer(f"the patch cannot be read: {error}") from error
    return operations


def patched(obj: Object, operations: list[Object]) -> Object:
    """Return `obj` after the webhook's operations; raises `BadAnswer`."""
    try:
        return patch.json_patch(obj, operations)
    except patch.PatchError as error:
        raise BadAnswer(f"the patch cannot be applied: {error}") from error
