"""From the root of a graph to its answer: which services are asked, in what order, with which body.

It asks by the function that it is given and reads no clock. Semantics are KServe's: in a Sequence only steps with
`dependency: Hard` end the walk when they fail, a condition that does not hold ends it with the answer so far; an
Ensemble's answer is an object of its steps' answers by name. Splitters count exactly: of any hundred requests each
step gets its weight; with `splitBy` a caller stays at one step for as long as the weights are the same. Shadows are
offered a copy of what comes to their node, and nothing waits for them.
"""

from __future__ import annotations

import asyncio
import fnmatch
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runtimes.graph import seldon
from tidegate.contracts import inference_graph, json_conditions
from tidegate.contracts.inference_graph import Graph, Node, Step

OK, SUCCESS = 200, range(200, 300)
NOT_FOUND, BAD_GATEWAY = 404, 502
JSON = b"application/json"
Headers = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer of a service, or of a node."""

    status: int
    body: bytes
    content_type: bytes = JSON

    @property
    def is_good(self) -> bool:
        """Whether it is a success."""
        return self.status in SUCCESS


Ask = Callable[[str, Step, str, bytes, Headers], Awaitable[Answered]]
"""(node, step, url, body, headers) → answer; one that cannot be reached is an answer of 503 or 504."""


def failure(status: int, text: str) -> Answered:
    """Return an answer that says what went wrong."""
    return Answered(status, json.dumps({"error": text}).encode())


Shadow = Callable[[str, Step, bytes, Headers], None]
"""(node, step, body, headers): send a copy, or drop it."""


@dataclass(frozen=True, slots=True)
class Way:
    """One request on its way: what its caller said, and which step each choosing node took."""

    headers: Headers
    routing: dict[str, int]

    def with_body_of(self, content_type: bytes) -> Way:
        """Return the way on with another body than the caller's."""
        return replace(self, headers={**self.headers, b"content-type": content_type})


class Walk:
    """One graph. Any number of requests may be on their way through it."""

    def __init__(self, graph: Graph, ask: Ask, shadow: Shadow = lambda *_: None) -> None:
        self._graph = graph
        self._ask = ask
        self._shadow = shadow
        self._credit: dict[str, list[int]] = {}
        self._copied: dict[tuple[str, int], int] = {}

    async def answer(self, body: bytes, headers: Headers, routing: dict[str, int] | None = None) -> Answered:
        """Return the graph's answer to a request; `routing` gets the step that each choosing node took."""
        way = Way(headers, {} if routing is None else routing)
        return await self._node(inference_graph.ROOT, body, way)

    async def _node(self, name: str, body: bytes, way: Way) -> Answered:
        node = self._graph[name]
        for position, shadow in enumerate(node.shadows):
            earned = self._copied.get((name, position), 0) + shadow.weight
            self._copied[name, position] = earned % 100
            if earned >= 100:
                self._shadow(name, shadow, body, way.headers)
        match node.kind:
            case inference_graph.SEQUENCE:
                return await self._sequence(name, node, body, way)
            case inference_graph.SWITCH:
                return await self._switch(name, node, body, way)
            case inference_graph.SPLITTER:
                chosen = way.routing[name] = self._split(name, node, way.headers)
                return await self._step(name, node.steps[chosen], body, way)
            case inference_graph.ROUTER:
                return await self._router(name, node, body, way)
        answers = await self._all(name, node, body, way)
        if node.kind == inference_graph.COMBINER:
            return await self._combined(name, node, answers, way)
        return _merged(name, node, answers)

    async def _step(self, node: str, step: Step, body: bytes, way: Way) -> Answered:
        if step.node:
            return await self._node(step.node, body, way)
        return await self._ask(node, step, step.url, body, way.headers)

    async def _sequence(self, name: str, node: Node, body: bytes, way: Way) -> Answered:
        last: Answered | None = None
        for step in node.steps:
            if step.condition and last is not None:
                document, is_json = _document(last.body)
                if not is_json:
                    return failure(BAD_GATEWAY, f"node {name}: the answer before step {step.name} is not JSON")
                if not json_conditions.holds(step.condition, document):
                    return last
            if step.takes_response and last is not None:
                last = await self._step(name, step, last.body, way.with_body_of(last.content_type))
            else:
                last = await self._step(name, step, body, way)
            if step.is_hard and not last.is_good:
                return last
        assert last is not None, "a node has steps"
        return last

    async def _switch(self, name: str, node: Node, body: bytes, way: Way) -> Answered:
        document, is_json = _document(body)
        for position, step in enumerate(node.steps):
            if _matches(step, way.headers) and (not step.condition or _holds(step, document, is_json)):
                way.routing[name] = position
                return await self._step(name, step, body, way)
        why = "no condition holds" if is_json else "the request is not JSON"
        return failure(NOT_FOUND, f"node {name}: {why}")

    async def _router(self, name: str, node: Node, body: bytes, way: Way) -> Answered:
        said = await self._ask(name, Step(inference_graph.ROUTER), node.url, body, way.headers)
        if not said.is_good:
            return said
        try:
            branch = seldon.branch_of(_document(said.body)[0], len(node.steps))
        except seldon.NoBranchError as error:
            return failure(500, f"node {name}: {error}")
        way.routing[name] = branch
        if branch == seldon.NONE:
            return Answered(OK, body)
        if branch == seldon.ALL:
            return _merged(name, node, await self._all(name, node, body, way))
        return await self._step(name, node.steps[branch], body, way)

    async def _all(self, name: str, node: Node, body: bytes, way: Way) -> list[Answered]:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._step(name, step, body, way)) for step in node.steps]
        return [task.result() for task in asked]

    async def _combined(self, name: str, node: Node, answers: list[Answered], way: Way) -> Answered:
        if (bad := next((each for each in answers if not each.is_good), None)) is not None:
            return bad
        try:
            body = seldon.to_combine([each.body for each in answers])
        except ValueError:
            return failure(BAD_GATEWAY, f"node {name}: an answer that is to be combined is not JSON")
        return await self._ask(name, Step(inference_graph.COMBINER), node.url, body, way.with_body_of(JSON).headers)

    def _split(self, name: str, node: Node, headers: Headers) -> int:
        key = headers.get(node.split_by.encode()) if node.split_by else None
        if key is not None:
            return _by_hash(name, node, key)
        # Smooth weighted round robin: everybody earns its weight, the richest is taken and pays the total.
        credit = self._credit.setdefault(name, [0] * len(node.steps))
        for position, step in enumerate(node.steps):
            credit[position] += step.weight
        richest = max(range(len(credit)), key=credit.__getitem__)
        credit[richest] -= sum(step.weight for step in node.steps)
        return richest


def _matches(step: Step, headers: Headers) -> bool:
    if not step.header:
        return True
    value = headers.get(step.header.encode())
    return value is not None and fnmatch.fnmatchcase(value.decode("latin-1"), step.pattern.replace("[", "[[]"))


def _holds(step: Step, document: Any, is_json: bool) -> bool:
    return is_json and json_conditions.holds(step.condition, document)


def _by_hash(name: str, node: Node, key: bytes) -> int:
    digest = hashlib.sha256(name.encode() + b"\0" + key).digest()
    place = int.from_bytes(digest[:8], "big") % sum(step.weight for step in node.steps)
    for position, step in enumerate(node.steps):
        place -= step.weight
        if place < 0:
            return position
    raise AssertionError("the weights of a Splitter sum to 100")


def _merged(name: str, node: Node, answers: list[Answered]) -> Answered:
    found = {}
    for step, each in zip(node.steps, answers, strict=True):
        if step.is_hard and not each.is_good:
            return each
        document, is_json = _document(each.body)
        if not is_json:
            return failure(BAD_GATEWAY, f"node {name}: the answer of step {step.name} is not JSON")
        found[step.name] = document
    try:
        return Answered(OK, json.dumps(found).encode())
    except RecursionError:
        return failure(BAD_GATEWAY, f"node {name}: an answer is too deep")


def _document(body: bytes) -> tuple[Any, bool]:
    try:
        return json.loads(body), True
    except (ValueError, RecursionError):
        return None, False
