"""InferenceGraph (serving.kserve.io/v1alpha1): nodes that route one request through several services.

KServe's kinds of node: a Sequence asks its steps in turn, a Switch the first whose condition holds, a Splitter
one by weight, an Ensemble all at once. Two more are Seldon's: a Router asks a model which step it is (a number, -1 all,
-2 none), a Combiner asks all steps and lets a model merge their answers. The controller checks and resolves a graph,
the router of `runtimes.graph` walks it; both read it here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tidegate.contracts import json_conditions, problems
from tidegate.contracts.problems import FieldProblem

ROOT = "root"
SEQUENCE, SWITCH, SPLITTER, ENSEMBLE = "Sequence", "Switch", "Splitter", "Ensemble"
ROUTER, COMBINER = "Router", "Combiner"
KINDS = (SEQUENCE, SWITCH, SPLITTER, ENSEMBLE, ROUTER, COMBINER)
ASKED = {ROUTER: "/api/v1.0/route", COMBINER: "/api/v1.0/aggregate"}
"""Kinds that ask a model of their own, and under which path of a service."""
REQUEST, RESPONSE = "$request", "$response"
HARD, SOFT = "Hard", "Soft"
NODES_LIMIT, STEPS_LIMIT = 100, 100
ASKED_LIMIT = 1000
"""The most services that one request may ask: ten levels of ten steps would be ten billion."""
SIZE_LIMIT_BYTES, NAMED_BYTES = 120_000, 300
"""Of all nodes: the router gets them in one variable, and Linux has none beyond 128 KiB; and what a name may become."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_TEXTS = ("name", "nodeName", "serviceName", "serviceUrl", "data", "condition", "dependency")
_OF_NODE = {"routerType", "steps", "shadows", "serviceName", "serviceUrl", "splitBy"}
_OF_STEP = {
    "name", "nodeName", "serviceName", "serviceUrl", "data", "weight", "condition", "match", "dependency", "timeout",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a node of the graph or the URL of a service. `timeout_s` 0: as the router says. `header`, `pattern`:
    what a request must have for this step of a Switch (a pattern with * and ?)."""

    name: str
    node: str = ""
    url: str = ""
    takes_response: bool = False
    weight: int = 0
    condition: json_conditions.Path = ()
    header: str = ""
    pattern: str = "*"
    is_hard: bool = False
    timeout_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Node:
    """One node. `url`: the model that a Router or Combiner asks. `split_by`: the header whose value keeps a caller to
    one step of a Splitter. `shadows`: who gets a copy of what comes to this node (of `weight` percent), unheard."""

    kind: str
    steps: tuple[Step, ...]
    url: str = ""
    split_by: str = ""
    shadows: tuple[Step, ...] = ()


Graph = Mapping[str, Node]


def read(nodes: Mapping[str, Any]) -> Graph:
    """Return the nodes of a valid graph whose service names are resolved to URLs."""
    return {name: _node(written) for name, written in nodes.items()}


def service_names(nodes: Mapping[str, Any]) -> set[str]:
    """Return the InferenceServices that a graph names."""
    found = set()
    for node in nodes.values():
        for each in (node, *(node.get("steps") or []), *(node.get("shadows") or [])):
            if each.get("serviceName") and not each.get("serviceUrl"):
                found.add(str(each["serviceName"]))
    return found


def resolved(nodes: Mapping[str, Any], hosts: Mapping[str, str], urls: Mapping[str, str]) -> dict[str, Any]:
    """Return the nodes with a URL in the place of every service name: `hosts` and prediction `urls` by that name."""
    made = {}
    for name, node in nodes.items():
        kept = {key: value for key, value in node.items() if key not in ("serviceName", "steps", "shadows")}
        if node.get("serviceName") and not node.get("serviceUrl"):
            kept["serviceUrl"] = f"http://{hosts[node['serviceName']]}{ASKED[node['routerType']]}"
        for key in ("steps", "shadows"):
            if node.get(key):
                kept[key] = [_resolved_step(step, urls) for step in node[key]]
        made[name] = kept
    return made


def _resolved_step(step: Mapping[str, Any], urls: Mapping[str, str]) -> dict[str, Any]:
    inner = {key: value for key, value in step.items() if key != "serviceName"}
    if step.get("serviceName") and not step.get("serviceUrl"):
        inner["serviceUrl"] = urls[step["serviceName"]]
        inner.setdefault("name", step["serviceName"])
    return inner


def validate(nodes: Any) -> list[FieldProblem]:
    """Return what is wrong with `spec.nodes`, every problem with its field."""
    if not isinstance(nodes, Mapping) or ROOT not in nodes:
        return [problems.missing(f"nodes.{ROOT}")]
    if len(nodes) > NODES_LIMIT:
        return [FieldProblem(f"expected at most {NODES_LIMIT} nodes", ("nodes",))]
    found = []
    for name, node in nodes.items():
        if not NAME.fullmatch(name):
            found.append(problems.invalid(name, "nodes", "a node's name has letters, digits, ., _ and -"))
        found += problems.under(f"nodes.{name}", _validate_node(node, nodes))
    return found or _circles(nodes) or _too_large(nodes)


def _node(written: Mapping[str, Any]) -> Node:
    steps = tuple(_step(each, position) for position, each in enumerate(written.get("steps") or []))
    split_by = str((written.get("splitBy") or {}).get("header") or "").lower()
    shadows = tuple(
        _step({"weight": 100, "name": f"shadow-{at}", **each}, at)
        for at, each in enumerate(written.get("shadows") or [])
    )
    return Node(str(written["routerType"]), steps, str(written.get("serviceUrl") or ""), split_by, shadows)


def _step(written: Mapping[str, Any], position: int) -> Step:
    condition = written.get("condition")
    return Step(
        name=str(written.get("name") or position),
        node=str(written.get("nodeName") or ""),
        url=str(written.get("serviceUrl") or ""),
        takes_response=written.get("data") == RESPONSE,
        weight=int(written.get("weight") or 0),
        condition=json_conditions.parse(condition) if condition else (),
        header=str((written.get("match") or {}).get("header") or "").lower(),
        pattern=str((written.get("match") or {}).get("value") or "*"),
        is_hard=written.get("dependency") == HARD,
        timeout_s=float(written.get("timeout") or 0),
    )


def _validate_node(node: Any, nodes: Mapping[str, Any]) -> list[FieldProblem]:
    if not isinstance(node, Mapping):
        return [problems.invalid(node, "routerType", "a node is an object")]
    kind, steps = node.get("routerType"), node.get("steps") or []
    found = [problems.disallowed(key) for key in sorted(set(node) - _OF_NODE)]
    if kind not in KINDS:
        return [*found, problems.invalid(kind, "routerType", f"expected one of {', '.join(KINDS)}")]
    texts = [key for key in ("serviceName", "serviceUrl") if not isinstance(node.get(key) or "", str)]
    if texts or not isinstance(node.get("shadows") or [], list):
        return [*found, FieldProblem("expected texts, and a list of shadows", tuple(texts) or ("shadows",))]
    if not isinstance(steps, list) or not 0 < len(steps) <= STEPS_LIMIT:
        return [*found, problems.invalid(steps, "steps", f"expected 1 to {STEPS_LIMIT} steps")]
    if kind in ASKED:
        found += _one_of(node, ("serviceName", "serviceUrl"))
    elif node.get("serviceName") or node.get("serviceUrl"):
        found.append(FieldProblem(f"only a {ROUTER} and a {COMBINER} ask a model of their own", ("serviceName",)))
    by = node.get("splitBy")
    if by and (kind != SPLITTER or not isinstance(by, Mapping) or not by.get("header")):
        found.append(problems.invalid(node["splitBy"], "splitBy", f"a {SPLITTER} may have splitBy.header"))
    for position, step in enumerate(steps):
        found += problems.under(f"steps[{position}]", _validate_step(step, str(kind), nodes))
    for position, shadow in enumerate(node.get("shadows") or []):
        found += problems.under(f"shadows[{position}]", _validate_shadow(shadow))
    if not found and kind == SPLITTER and sum(step.get("weight") or 0 for step in steps) != 100:
        found.append(FieldProblem("the weights of a Splitter sum to 100", ("steps",)))
    names = [str(step.get("name")) for step in steps if isinstance(step, Mapping) and step.get("name")]
    if len(names) != len(set(names)):
        found.append(FieldProblem("two steps have one name", ("steps",)))
    return found


def _validate_step(step: Any, kind: str, nodes: Mapping[str, Any]) -> list[FieldProblem]:
    if not isinstance(step, Mapping):
        return [problems.invalid(step, "name", "a step is an object")]
    if wrong := [key for key in _TEXTS if not isinstance(step.get(key) or "", str)]:
        return [problems.invalid(step[key], key, "expected a text") for key in wrong]
    found = [problems.disallowed(key) for key in sorted(set(step) - _OF_STEP)]
    found += _one_of(step, ("nodeName", "serviceName", "serviceUrl"))
    if step.get("nodeName") and step["nodeName"] not in nodes:
        found.append(problems.invalid(step["nodeName"], "nodeName", "there is no such node"))
    if step.get("data") not in (None, "", REQUEST, RESPONSE):
        found.append(problems.invalid(step["data"], "data", f"expected {REQUEST} or {RESPONSE}"))
    if step.get("dependency") not in (None, "", HARD, SOFT):
        found.append(problems.invalid(step["dependency"], "dependency", f"expected {HARD} or {SOFT}"))
    weight, timeout = step.get("weight"), step.get("timeout")
    if weight is not None and not (isinstance(weight, int) and not isinstance(weight, bool) and 0 <= weight <= 100):
        found.append(problems.out_of_bounds(weight, 0, 100, "weight"))
    is_time = isinstance(timeout, int | float) and not isinstance(timeout, bool) and 0 < timeout <= 3600
    if timeout is not None and not is_time:
        found.append(problems.out_of_bounds(timeout, 0, 3600, "timeout"))
    if kind == SWITCH and not step.get("condition") and not step.get("match"):
        found.append(problems.missing("condition", "match"))
    match = step.get("match")
    if match is not None and (kind != SWITCH or not isinstance(match, Mapping) or not match.get("header")):
        found.append(problems.invalid(match, "match", "a step of a Switch may have match.header and match.value"))
    if step.get("condition"):
        try:
            json_conditions.parse(step["condition"])
        except json_conditions.ConditionError as error:
            found.append(problems.invalid(step["condition"], "condition", str(error)))
    return found


def _validate_shadow(shadow: Any) -> list[FieldProblem]:
    found = _validate_step(shadow, ENSEMBLE, {})
    if isinstance(shadow, Mapping):
        unused = {"nodeName", "data", "condition", "dependency"} & set(shadow)
        found += [FieldProblem("a shadow is a service that gets a copy", (key,)) for key in sorted(unused)]
    return found


def _one_of(written: Mapping[str, Any], keys: tuple[str, ...]) -> list[FieldProblem]:
    given = [key for key in keys if written.get(key)]
    if len(given) != 1:
        return [FieldProblem(f"expected exactly one, got {'neither' if not given else 'several'}", keys)]
    if given == ["serviceUrl"] and not _is_url(written["serviceUrl"]):
        return [problems.invalid(written["serviceUrl"], "serviceUrl", "write http://host/path")]
    return []


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # brackets that do not close, a port beyond 65535
        return False


def most_asked(nodes: Mapping[str, Any]) -> int:
    """Return how many services one request asks at most, shadows and the models of Routers included. No circles."""
    known: dict[str, int] = {}

    def of(name: str) -> int:
        if name not in known:
            node = nodes[name]
            each = [of(step["nodeName"]) if step.get("nodeName") else 1 for step in node["steps"]]
            chosen = max(each) if node["routerType"] in (SWITCH, SPLITTER) else sum(each)
            known[name] = chosen + len(node.get("shadows") or []) + (node["routerType"] in ASKED)
        return known[name]

    return of(ROOT)


def _too_large(nodes: Mapping[str, Any]) -> list[FieldProblem]:
    found = []
    if (asked := most_asked(nodes)) > ASKED_LIMIT:
        many = asked if asked < 1 << 32 else "billions of"
        found.append(FieldProblem(f"one request would ask {many} services, at most {ASKED_LIMIT} may be", ("nodes",)))
    written = json.dumps(nodes)
    if len(written) + NAMED_BYTES * written.count('"serviceName"') > SIZE_LIMIT_BYTES:
        found.append(FieldProblem(f"the nodes are larger than {SIZE_LIMIT_BYTES} bytes with their URLs", ("nodes",)))
    return found


def _circles(nodes: Mapping[str, Any]) -> list[FieldProblem]:
    done: set[str] = set()

    def leads_back(name: str, above: tuple[str, ...]) -> str:
        if name in above:
            return " -> ".join((*above[above.index(name) :], name))
        if name in done:
            return ""
        for step in nodes[name]["steps"]:
            if step.get("nodeName") and (circle := leads_back(step["nodeName"], (*above, name))):
                return circle
        done.add(name)
        return ""

    circle = leads_back(ROOT, ())
    return [FieldProblem(f"the nodes go in a circle: {circle}", ("nodes",))] if circle else []
