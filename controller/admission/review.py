"""AdmissionReview in, AdmissionReview out: which rules apply to which kind.

`default` and `validate` take the `request` part of an AdmissionReview and return its `response` part. The same rules
without the envelope are `defaulted` and `problems_of`.
"""

from __future__ import annotations

import base64
import copy
import dataclasses
from typing import Any

import msgspec

from controller import cluster_config
from controller.admission import defaults, domain_mapping, metadata, revision_spec, traffic, warnings
from controller.cluster_config import ClusterConfig
from controller.inference import component, graph
from tidegate.contracts import names, problems
from tidegate.contracts.config import features
from tidegate.contracts.problems import FieldProblem

Object = dict[str, Any]


def default(request: Object, config: ClusterConfig) -> Object:
    """Return the answer to a defaulting request: allowed, with a JSON patch when something was left unsaid."""
    obj, old = request.get("object"), request.get("oldObject")
    answer: Object = {"uid": request["uid"], "allowed": True}
    if obj is None or request.get("subResource"):
        return answer
    try:
        changed = defaulted(obj, old, _user(request), config)
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        return refusal(request, f"mutation failed: the object is malformed: {error}")
    if patch := json_patch(obj, changed):
        answer["patchType"] = "JSONPatch"
        answer["patch"] = base64.b64encode(msgspec.json.encode(patch)).decode()
    return answer


def validate(request: Object, config: ClusterConfig, controller: str = "") -> Object:
    """Return the answer to a validation request; `controller` is the user name of the controller itself.

    What it makes of an InferenceService has the pod fields that models need, whatever config-features says to people.
    """
    obj, old = request.get("object"), request.get("oldObject")
    if obj is None or request.get("subResource"):
        return {"uid": request["uid"], "allowed": True}
    if controller and _user(request) == controller:
        config = dataclasses.replace(config, features=config.features.with_enabled(features.MODEL_FLAGS))
    try:
        found = problems_of(obj, old, config)
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        return refusal(request, f"validation failed: the object is malformed: {error}")
    if found:
        return refusal(request, f"validation failed: {problems.render(found)}")
    answer = {"uid": request["uid"], "allowed": True}
    return answer | ({"warnings": lines} if (lines := warnings.of(obj, config.features)) else {})


def defaulted(obj: Object, old: Object | None, user: str, config: ClusterConfig) -> Object:
    """Return a copy of `obj` with everything written out; `user` is who asks."""
    changed = copy.deepcopy(obj)
    if changed["metadata"].get("deletionTimestamp"):
        return changed
    kind = obj["kind"]
    if kind == "Service":
        defaults.service(changed, old, config)
    elif kind == "Configuration":
        defaults.configuration(changed, old, config)
    elif kind == "Route":
        defaults.route(changed)
    elif kind == "DomainMapping":
        domain_mapping.default(changed)
    elif kind == "PodAutoscaler":
        defaults.pod_autoscaler(changed, config)
    elif kind == "Revision" and old is None:
        defaults.revision_spec(changed.setdefault("spec", {}), obj["metadata"].get("name", ""), config, is_create=True)
    if kind in ("Service", "Configuration", "Route", "DomainMapping"):
        defaults.users(changed, old, user)
    return changed


def problems_of(obj: Object, old: Object | None, config: ClusterConfig) -> list[FieldProblem]:
    """Return what is wrong with an object that is about to be stored."""
    if obj["metadata"].get("deletionTimestamp"):
        return []
    kind = obj["kind"]
    if kind == "Service":
        return [
            *_templated(obj, old, config),
            *metadata.rollout(obj),
            *traffic.validate(obj["spec"].get("traffic") or [], in_service=True),
        ]
    if kind == "Configuration":
        return [*_templated(obj, old, config), *metadata.parent_label(obj, names.SERVICE_LABEL, "Service")]
    if kind == "Route":
        return [
            *metadata.validate(obj, old),
            *metadata.rollout(obj),
            *metadata.parent_label(obj, names.SERVICE_LABEL, "Service"),
            *traffic.validate((obj.get("spec") or {}).get("traffic") or [], in_service=False),
        ]
    if kind == "DomainMapping":
        return domain_mapping.validate(obj, old)
    if kind == "InferenceService":
        return component.validate(obj)
    if kind == "InferenceGraph":
        return graph.validate(obj)
    if kind == "Revision":
        return _revision(obj, old, config)
    if kind == "ConfigMap":
        return _config_map(obj)
    return []


def _config_map(obj: Object) -> list[FieldProblem]:
    name = obj["metadata"].get("name", "")
    if name == names.CONFIG_FEATURES:
        return problems.under("data", features.problems_of(obj))
    _, refused = cluster_config.read({name: obj})
    return problems.under("data", refused.get(cluster_config.PART_OF.get(name, name), []))


def _templated(obj: Object, old: Object | None, config: ClusterConfig) -> list[FieldProblem]:
    template = (obj.get("spec") or {}).get("template")
    found = [*metadata.validate(obj, old), *metadata.template(obj, old)]
    if template is None:
        return [*found, problems.missing("spec.template")]
    inner = revision_spec.validate_annotated((template.get("metadata") or {}).get("annotations") or {}, config)
    found += problems.under("spec.template.metadata.annotations", inner)
    found += problems.under("spec.template.spec", revision_spec.validate(template.get("spec") or {}, config))
    return found + _unrenamed_change(template, old)


def _unrenamed_change(template: Object, old: Object | None) -> list[FieldProblem]:
    before = ((old or {}).get("spec") or {}).get("template") or {}
    name = (template.get("metadata") or {}).get("name")
    if not name or name != (before.get("metadata") or {}).get("name") or before == template:
        return []
    text = "Saw the following changes without a name change (-old +new)"
    return [FieldProblem(text, ("spec.template.metadata.name",), difference(before, template))]


def _revision(obj: Object, old: Object | None, config: ClusterConfig) -> list[FieldProblem]:
    found = metadata.validate(obj, None, allows_autoscaling=True)
    found += metadata.parent_label(obj, names.CONFIGURATION_LABEL, "Configuration")
    inner = revision_spec.validate_annotated(obj["metadata"].get("annotations") or {}, config)
    found += problems.under("metadata.annotations", inner)
    if old is None:
        return found + problems.under("spec", revision_spec.validate(obj.get("spec") or {}, config))
    if obj.get("spec") != old.get("spec"):
        details = difference(old.get("spec") or {}, obj.get("spec") or {})
        found.append(FieldProblem("Immutable fields changed (-old +new)", ("spec",), details))
    return found


def difference(old: Any, new: Any, path: str = "") -> str:
    """Return the changed leaves of two documents as lines `-path: old` and `+path: new`."""
    return "\n".join(_difference(old, new, path))


def _difference(old: Any, new: Any, path: str) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted({*old, *new})
        return [line for key in keys for line in _difference(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [line for index, (one, two) in pairs for line in _difference(one, two, f"{path}[{index}]")]
    if old == new:
        return []
    return [
        f"{sign}{path}: {msgspec.json.encode(value).decode()}"
        for sign, value in (("-", old), ("+", new))
        if value is not None
    ]


def json_patch(old: Any, new: Any, path: str = "") -> list[Object]:
    """Return the JSON patch from `old` to `new`; lists are replaced whole."""
    if isinstance(old, dict) and isinstance(new, dict):
        patch: list[Object] = [{"op": "remove", "path": f"{path}/{_escape(key)}"} for key in old if key not in new]
        for key, value in new.items():
            where = f"{path}/{_escape(key)}"
            if key in old:
                patch += json_patch(old[key], value, where)
            else:
                patch.append({"op": "add", "path": where, "value": value})
        return patch
    return [] if old == new else [{"op": "replace", "path": path, "value": new}]


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _user(request: Object) -> str:
    return str((request.get("userInfo") or {}).get("username") or "")


def refusal(request: Object, message: str) -> Object:
    """Return the answer that refuses a request with a message."""
    return {
        "uid": request["uid"],
        "allowed": False,
        "status": {"code": 400, "reason": "BadRequest", "message": message},
    }
