"""InferenceGraph → the Knative Service of its router. Pure.

The router gets the whole graph, service names resolved to URLs, in one variable, so a change of the graph is a new
revision of the router and rolls out as any other. Fields and defaults are KServe's v1alpha1 API.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping

from controller.inference import component
from controller.inference.template import GROUP, STATIC_RESOURCES, scaling
from controller.reconcile import metadata
from controller.reconcile.outcome import Object
from tidegate.contracts import inference_graph, problems
from tidegate.contracts.problems import FieldProblem

GRAPH_LABEL = GROUP + "inferencegraph"
_POD_FIELDS = ("affinity", "nodeName", "nodeSelector", "serviceAccountName", "tolerations")
_SCALING = ("minReplicas", "maxReplicas", "scaleTarget", "scaleMetric")
_KNOWN = {"nodes", "timeout", "resources", *_POD_FIELDS, *_SCALING}
DEFAULT_TIMEOUT_S = 300


def validate(graph: Object) -> list[FieldProblem]:
    """Return what is wrong with an InferenceGraph, every problem with its field."""
    spec = graph.get("spec") or {}
    found = [problems.disallowed(f"spec.{key}") for key in sorted(set(spec) - _KNOWN)]
    found += problems.under("spec", component.validate_scaling(spec))
    timeout = spec.get("timeout")
    if timeout is not None and not (isinstance(timeout, int) and not isinstance(timeout, bool) and timeout > 0):
        found.append(problems.invalid(timeout, "spec.timeout", "write seconds"))
    return found + problems.under("spec", inference_graph.validate(spec.get("nodes")))


def _variable(nodes: Object, namespace: str, urls: Mapping[str, str]) -> str:
    """Return the router's graph as JSON of ASCII, without what Kubernetes would replace in a variable: $(NAME), $$."""
    made = inference_graph.resolved(nodes, {name: f"{name}.{namespace}" for name in urls}, urls)
    text = json.dumps(made, sort_keys=True, separators=(",", ":"))
    return re.sub(r"\$(?=[$(])", r"\\u0024", text)


def prediction_url(service: Object) -> str:
    """Return where an InferenceService is asked to predict inside the cluster."""
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    predictor = component.read(service, component.PREDICTOR)
    protocol = predictor.model.protocol if predictor is not None and predictor.model is not None else "v1"
    verb = f"v2/models/{name}/infer" if protocol == "v2" else f"v1/models/{name}:predict"
    return f"http://{name}.{namespace}/{verb}"


def knative_service(graph: Object, services: Mapping[str, Object], image: str) -> Object:
    """Return the router's Knative Service, stamped for comparison; `services`: the InferenceServices that it names."""
    spec, head = graph["spec"], graph["metadata"]
    timeout_s = int(spec.get("timeout") or DEFAULT_TIMEOUT_S)
    urls = {name: prediction_url(service) for name, service in services.items()}
    container: Object = {
        "name": "router",
        "image": image,
        "env": [
            {"name": "GRAPH", "value": _variable(spec["nodes"], head["namespace"], urls)},
            {"name": "TIDEGATE_STEP_TIMEOUT_S", "value": str(timeout_s)},
        ],
        "readinessProbe": {"httpGet": {"path": "/v2/health/live"}},
        "resources": copy.deepcopy(spec.get("resources") or STATIC_RESOURCES),
    }
    pod = {key: copy.deepcopy(spec[key]) for key in _POD_FIELDS if spec.get(key)}
    labels = metadata.own_labels(graph) | {GRAPH_LABEL: head["name"]}
    template = {
        "metadata": {"labels": labels, "annotations": scaling(component.scaling_of("router", spec))},
        "spec": {**pod, "containers": [container], "timeoutSeconds": timeout_s},
    }
    made = metadata.child(graph, "serving.knative.dev/v1", "Service", head["name"], labels=labels, annotations={})
    return metadata.stamped(made | {"spec": {"template": template}})
