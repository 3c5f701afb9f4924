"""Component + runtime → the Knative Service that runs it.

Pure. The author's fields are merged over the runtime's container as a strategic merge would: lists with names by name,
everything else replaced. Scaling fields become Knative's annotations as KServe translates them: target and metric only
when they are set, so that Knative's own defaults hold otherwise.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from controller.inference import frame_settings
from controller.inference.component import COPY, EXPLAINER, MAIN_CONTAINER, PREDICTOR, Component, Model, has_copy, read
from controller.reconcile import metadata
from controller.reconcile.outcome import Object
from tidegate.contracts import names

GROUP = "serving.kserve.io/"
SERVICE_LABEL = GROUP + "inferenceservice"
COMPONENT_LABEL = "component"
STORAGE_URI_ANNOTATION = "internal." + GROUP + "storage-initializer-sourceuri"
TAG_ROUTING_ANNOTATION = GROUP + "enable-tag-routing"
MODEL_PATH = "/mnt/models"
AGENT_IMAGE = frame_settings.OUR_IMAGES + "agent"
DEFAULT_RESOURCES = {"cpu": "1", "memory": "2Gi"}
STATIC_RESOURCES = {"requests": {"cpu": "100m", "memory": "100Mi"}, "limits": {"cpu": "1", "memory": "500Mi"}}
"""Of a server without a model."""

_NOT_PASSED_ON = (GROUP, "kubectl.kubernetes.io/", "tidegate.dev/applied")
_PLACEHOLDER = re.compile(r"\{\{\s*\.(Name|Namespace|Labels\.[\w.-]+|Annotations\.[\w.-]+)\s*\}\}")
_BY_NAME = {"containers", "env", "volumes", "volumeMounts", "initContainers"}


def service_name(inference_service: str, component: str) -> str:
    """Return the name of a component's Knative Service."""
    return names.child_name(inference_service, f"-{component}")


def template(owner: Object, component: Component, runtime: Object | None, agent_image: str = AGENT_IMAGE) -> Object:
    """Return the template of the component's Knative Service; `runtime` serves its model, None without a model."""
    pod = _with_runtime(component, runtime) if component.model is not None and runtime is not None else component.pod
    spec: Object = {key: value for key, value in pod.items() if value not in (None, [], {})}
    containers = spec["containers"] = [_container(one, owner) for one in spec.get("containers") or []]
    main = _main(containers)
    _default_resources(main)
    head = owner["metadata"]
    asked = frame_settings.variables(component.frame, head["name"], head["namespace"], component.kind)
    has_agent = frame_settings.needs_agent(component.frame, str(main.get("image", "")))
    for name, value in () if has_agent else asked.items():
        _set_env(main, name, value)
    if component.kind not in (PREDICTOR, COPY):
        _tell_predictor(main, owner, component.kind)
    if component.concurrency is not None:
        spec["containerConcurrency"] = component.concurrency
    if component.timeout_s is not None:
        spec["timeoutSeconds"] = component.timeout_s
    if has_agent:
        spec["containers"] = frame_settings.with_agent(containers, main, agent_image, asked)
    return {
        "metadata": {"labels": _labels(owner, component), "annotations": _annotations(owner, component)},
        "spec": spec,
    }


def knative_service(
    owner: Object,
    component: Component,
    runtime: Object | None,
    traffic: list[Object],
    agent_image: str = AGENT_IMAGE,
) -> Object:
    """Return the whole Knative Service, stamped for comparison."""
    own = metadata.own_labels(owner) | {
        SERVICE_LABEL: owner["metadata"]["name"],
        COMPONENT_LABEL: component.kind,
    }
    head = metadata.child(
        owner,
        "serving.knative.dev/v1",
        "Service",
        service_name(owner["metadata"]["name"], component.kind),
        labels=own,
        annotations={},
    )
    return metadata.stamped(
        head | {"spec": {"template": template(owner, component, runtime, agent_image), "traffic": traffic}}
    )


def unserved(component: Component, wanted: Object) -> str:
    """Return why the server of a compiled Service cannot do what its component asks for, "" when it can."""
    containers = wanted["spec"]["template"]["spec"]["containers"]
    main = _main([one for one in containers if one.get("name") != frame_settings.AGENT])
    protocol = component.model.protocol if component.model is not None else ""
    port_name = next((str(port.get("name", "")) for one in containers for port in one.get("ports") or []), "")
    return frame_settings.why_not(component.frame, str(main.get("image", "")), protocol, port_name)


def merged(base: Any, over: Any, key: str = "") -> Any:
    """Return `base` with `over` laid on it: maps by key, lists of named things by name, all else replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {
            name: merged(base[name], over[name], name)
            if name in base and name in over
            else copy.deepcopy(over.get(name, base.get(name)))
            for name in [*base, *(name for name in over if name not in base)]
        }
    if isinstance(base, list) and isinstance(over, list) and key in _BY_NAME:
        mine = {one.get("name"): one for one in over}
        kept = [merged(one, mine.pop(one.get("name"), {}), "") for one in base]
        return [*kept, *(copy.deepcopy(one) for one in mine.values())]
    return copy.deepcopy(over)


def _with_runtime(component: Component, runtime: Object) -> Object:
    model = component.model
    assert model is not None
    spec = runtime.get("spec") or {}
    keys = ("containers", "volumes", "nodeSelector", "tolerations", "affinity", "imagePullSecrets")
    base = {key: copy.deepcopy(spec[key]) for key in keys if spec.get(key)}
    pod: Object = merged(base, component.pod)
    main = _main(pod["containers"])
    over = {key: value for key, value in model.container.items() if key != "name"}
    extra_args = over.pop("args", [])
    main.update(merged(main, over))
    if extra_args:
        main["args"] = [*(main.get("args") or []), *extra_args]
    if model.runtime_version and ":" in str(main.get("image", "")):
        main["image"] = f"{main['image'].rpartition(':')[0]}:{model.runtime_version}"
    _set_env(main, "PROTOCOL", model.protocol)
    return pod


def _main(containers: list[Object]) -> Object:
    return next((one for one in containers if one.get("name") == MAIN_CONTAINER), containers[0])


def _container(container: Object, owner: Object) -> Object:
    filled: Object = _filled(container, owner["metadata"])
    return filled


def _filled(value: Any, owner: Object) -> Any:
    """Return `value` with `{{.Name}}`, `{{.Namespace}}`, `{{.Labels.x}}` and `{{.Annotations.x}}` put in."""
    if isinstance(value, dict):
        return {key: _filled(item, owner) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, owner) for item in value]
    if not isinstance(value, str):
        return value

    def known(found: re.Match[str]) -> str:
        part, _, key = found.group(1).partition(".")
        if not key:
            return str(owner.get(part.lower(), ""))
        return str((owner.get(part.lower()) or {}).get(key, ""))

    return _PLACEHOLDER.sub(known, value)


def _default_resources(container: Object) -> None:
    resources = container.setdefault("resources", {})
    limits, requests = resources.setdefault("limits", {}), resources.setdefault("requests", {})
    for name, value in DEFAULT_RESOURCES.items():
        requests.setdefault(name, limits.get(name, value))
        limits.setdefault(name, requests[name])


def _tell_predictor(container: Object, owner: Object, kind: str) -> None:
    """A transformer finds its predictor by arguments, as KServe's do, and by variables; ours needs these alone."""
    found = read(owner, PREDICTOR)
    predictor = found.model if found is not None else None
    name, namespace = owner["metadata"]["name"], owner["metadata"]["namespace"]
    asked = COPY if kind == EXPLAINER and has_copy(owner) else PREDICTOR
    host = f"{service_name(name, asked)}.{namespace}"
    _set_env(container, "PREDICTOR_HOST", host)
    if str(container.get("image", "")).startswith(frame_settings.OUR_IMAGES):
        _set_env(container, "MODEL_NAME", name)
        _set_env(container, "PREDICTOR_PROTOCOL", predictor.protocol if predictor else "v1")
        return
    container["args"] = [*(container.get("args") or []), "--model_name", name, "--predictor_host", host]


def _set_env(container: Object, name: str, value: str) -> None:
    env = container.setdefault("env", [])
    if not any(one.get("name") == name for one in env):
        env.append({"name": name, "value": value})


def _labels(owner: Object, component: Component) -> dict[str, str]:
    return {
        **metadata.own_labels(owner),
        **component.labels,
        SERVICE_LABEL: owner["metadata"]["name"],
        COMPONENT_LABEL: component.kind,
    }


def _annotations(owner: Object, component: Component) -> dict[str, str]:
    own = {key: value for key, value in metadata.own_annotations(owner).items() if not key.startswith(_NOT_PASSED_ON)}
    return {**own, **scaling(component), **_storage(component.model), **component.annotations}


def scaling(component: Component) -> dict[str, str]:
    """Return the annotations that scale a component as it asks."""
    by_resource = component.scale_metric in ("cpu", "memory")
    kind = "hpa" if by_resource else "kpa"
    found = {
        names.AUTOSCALING + "class": f"{kind}.autoscaling.knative.dev",
        names.AUTOSCALING + "min-scale": str(component.min_replicas),
    }
    if component.max_replicas:
        found[names.AUTOSCALING + "max-scale"] = str(component.max_replicas)
    if component.scale_metric:
        found[names.AUTOSCALING + "metric"] = component.scale_metric
    if component.scale_target is not None:
        found[names.AUTOSCALING + "target"] = str(component.scale_target)
    return found


def _storage(model: Model | None) -> dict[str, str]:
    return {STORAGE_URI_ANNOTATION: model.storage_uri} if model is not None and model.storage_uri else {}
