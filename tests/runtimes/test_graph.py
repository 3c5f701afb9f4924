"""Walks through graphs: every kind of node, graphs of several levels, failures, splits, and real models over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import web

from runtimes.adapters.seldon import SeldonStyle
from runtimes.graph import bandit
from runtimes.graph.__main__ import Process
from runtimes.graph.config import Config
from runtimes.graph.walk import Answered, Walk
from tests.support.model_servers import client_of, serving
from tidegate.contracts import inference_graph
from tidegate.contracts.inference_graph import Step
from tidegate.process.settings import SettingsError

SERVICES = {
    "double": lambda x: x * 2,
    "negate": lambda x: -x,
    "add1": lambda x: x + 1,
    "one": lambda x: 1,
    "first": lambda x: 0,
    "second": lambda x: 1,
    "all": lambda x: -1,
    "none": lambda x: -2,
    "far": lambda x: 7,
}


def node(kind: str, *steps: Any, **more: Any) -> dict[str, Any]:
    return {"routerType": kind, "steps": list(steps), **more}


def to(service: str, **more: Any) -> dict[str, Any]:
    return {"serviceUrl": f"http://{service}/", "name": service, **more}


class World:
    """Services that compute on `{"x": number}`, and remember who was asked."""

    def __init__(self, nodes: dict[str, Any]) -> None:
        assert inference_graph.validate(nodes) == []
        self.asked: list[str] = []
        self.bodies: dict[str, Any] = {}
        self.walk = Walk(inference_graph.read(nodes), self.ask)

    async def ask(self, node: str, step: Step, url: str, body: bytes, headers: Mapping[bytes, bytes]) -> Answered:
        service = url.removeprefix("http://").rstrip("/")
        self.asked.append(service)
        document = self.bodies[service] = json.loads(body)
        await asyncio.sleep(0)
        if service == "mean":
            values = [each["x"] for each in document["seldonMessages"]]
            return Answered(200, json.dumps({"x": sum(values) / len(values)}).encode())
        if service.startswith("fails"):
            return Answered(500, b'{"error": "broken"}')
        if service == "text":
            return Answered(200, b"hello", b"text/plain")
        found = SERVICES[service](document["x"])
        return Answered(200, json.dumps(found if service in ROUTERS else {"x": found}).encode())

    async def answer(self, x: float = 3, **headers: str) -> Any:
        said = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        answer = await self.walk.answer(json.dumps({"x": x}).encode(), said)
        return answer.status, json.loads(answer.body)


ROUTERS = ("first", "second", "all", "none", "far")
RESPONSE = {"data": "$response"}
GOLDEN: list[tuple[str, dict[str, Any], Any]] = [
    ("one model", {"root": node("Sequence", to("double"))}, {"x": 6}),
    ("input transformer, model, output transformer",
     {"root": node("Sequence", to("double"), to("add1", **RESPONSE), to("negate", **RESPONSE))}, {"x": -7}),
    ("a router to the second",
     {"root": node("Router", to("double"), to("negate"), serviceUrl="http://second/")}, {"x": -3}),
    ("a combiner over two",
     {"root": node("Combiner", to("double"), to("negate"), serviceUrl="http://mean/")}, {"x": 1.5}),
    ("a combiner of a router and a sequence",
     {"root": node("Sequence", {"nodeName": "both"}, to("negate", **RESPONSE)),
      "both": node("Combiner", {"nodeName": "pick"}, {"nodeName": "line"}, serviceUrl="http://mean/"),
      "pick": node("Router", to("double"), to("one"), serviceUrl="http://first/"),
      "line": node("Sequence", to("add1"), to("double", **RESPONSE))}, {"x": -7.0}),
    ("an ensemble by name", {"root": node("Ensemble", to("double"), to("negate"))},
     {"double": {"x": 6}, "negate": {"x": -3}}),
    ("a switch", {"root": node("Switch", to("negate", condition="#(x>5)"), to("double", condition="[@this].#(x==3)"))},
     {"x": 6}),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "answer"), [row[1:] for row in GOLDEN], ids=[row[0] for row in GOLDEN])
async def test_graphs_of_every_shape(nodes: dict[str, Any], answer: Any) -> None:
    assert await World(nodes).answer() == (200, answer)


@pytest.mark.parametrize(
    ("router", "asked", "status"),
    [("all", ["double", "negate"], 200), ("none", [], 200), ("far", [], 500), ("first", ["double"], 200)],
)
async def test_a_router_names_one_all_none_or_nothing_that_is_there(router: str, asked: list[str], status: int) -> None:
    world = World({"root": node("Router", to("double"), to("negate"), serviceUrl=f"http://{router}/")})
    got, document = await world.answer()
    assert (got, world.asked[1:]) == (status, asked)
    if router == "none":
        assert document == {"x": 3}, "the request comes back"
    if router == "far":
        assert "node root: its router answered 7, and there are steps 0 to 1" in document["error"]


async def test_a_sequence_ends_where_a_condition_does_not_hold() -> None:
    nodes = {"root": node("Sequence", to("double"), to("negate", condition="[@this].#(x>10)", **RESPONSE))}
    world = World(nodes)
    assert await world.answer(3) == (200, {"x": 6}) and world.asked == ["double"]
    assert await world.answer(30) == (200, {"x": -60})


async def test_only_hard_steps_end_a_sequence_when_they_fail() -> None:
    world = World({"root": node("Sequence", to("fails"), to("double"))})
    assert await world.answer() == (200, {"x": 6}), "the next step takes the request, as it says"
    world = World({"root": node("Sequence", to("fails", dependency="Hard"), to("double"))})
    assert await world.answer() == (500, {"error": "broken"}) and world.asked == ["fails"]


async def test_an_ensemble_shows_what_failed_unless_it_is_hard() -> None:
    world = World({"root": node("Ensemble", to("fails"), to("double"))})
    assert await world.answer() == (200, {"fails": {"error": "broken"}, "double": {"x": 6}})
    world = World({"root": node("Ensemble", to("double"), to("fails", dependency="Hard"))})
    assert await world.answer() == (500, {"error": "broken"})
    world = World({"root": node("Ensemble", to("double"), to("text"))})
    status, document = await world.answer()
    assert (status, "step text is not JSON" in document["error"]) == (502, True)


async def test_a_switch_without_a_fitting_condition_is_a_404() -> None:
    world = World({"root": node("Switch", to("double", condition="y"))})
    assert await world.answer() == (404, {"error": "node root: no condition holds"})
    answer = await world.walk.answer(b"no json", {})
    assert (answer.status, b"not JSON" in answer.body) == (404, True)


async def test_a_splitter_splits_any_hundred_exactly() -> None:
    world = World({"root": node("Splitter", to("double", weight=80), to("negate", weight=20))})
    for _ in range(200):
        await world.answer()
    for begin in range(100):
        assert Counter(world.asked[begin : begin + 100]) == {"double": 80, "negate": 20}


async def test_a_caller_stays_at_one_step_where_a_header_says_who_it_is() -> None:
    nodes = {"root": node("Splitter", to("double", weight=50), to("negate", weight=50), splitBy={"header": "X-User"})}
    world, again = World(nodes), World(nodes)
    for user in range(200):
        for _ in range(3):
            await world.answer(x_user=f"u{user}")
        await again.answer(x_user=f"u{user}")
    assert world.asked[::3] == world.asked[1::3] == world.asked[2::3], "the same user, the same version"
    assert world.asked[::3] == again.asked, "every replica of the router decides alike"
    assert 70 <= Counter(again.asked)["double"] <= 130


# Over HTTP


@contextlib.asynccontextmanager
async def routing(nodes: dict[str, Any], **settings: Any) -> AsyncIterator[Process]:
    process = Process(dataclasses.replace(Config(port=0, graph=json.dumps(nodes), drain_s=1.0), **settings))
    await process.start()
    try:
        yield process
    finally:
        await process.close()


class Pick:
    """A Seldon router: rows that begin with a number above 1 go to the second child."""

    def route(self, features: Any, names: Any) -> int:
        return int(features[0][0] > 1)


class Mean:
    """A Seldon combiner."""

    def aggregate(self, features: Any, names: Any) -> Any:
        return sum(features) / len(features)


class Times:
    """A Seldon model."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def predict(self, features: Any, names: Any) -> Any:
        return features * self.factor


async def test_seldons_classes_are_routers_combiners_and_models_of_a_graph() -> None:
    async with contextlib.AsyncExitStack() as stack:
        ports = {}
        for name, made in (("pick", Pick()), ("mean", Mean()), ("times2", Times(2.0)), ("times4", Times(4.0))):
            ports[name] = (await stack.enter_async_context(serving(SeldonStyle(made), model_name=name))).port

        def url(name: str, verb: str = "predictions") -> str:
            return f"http://127.0.0.1:{ports[name]}/api/v1.0/{verb}"

        models = [{"serviceUrl": url("times2")}, {"serviceUrl": url("times4")}]
        nodes = {
            "root": node("Router", {"nodeName": "both"}, models[1], serviceUrl=url("pick", "route")),
            "both": node("Combiner", *models, serviceUrl=url("mean", "aggregate")),
        }
        process = await stack.enter_async_context(routing(nodes))
        http = await stack.enter_async_context(client_of(process))  # type: ignore[arg-type]
        for row, wanted in (([1.0, 1.0], [3.0, 3.0]), ([2.0, 1.0], [8.0, 4.0])):
            question = {"data": {"names": [], "ndarray": [row]}}
            status, answer, headers = await http.call("POST", "/api/v1.0/predictions", question)
            assert (status, answer["data"]["ndarray"]) == (200, [wanted])
            assert headers["X-Request-ID"]
        _, page = await http.get("/metrics")
        assert b'inference_graph_step_requests_total{node="root",status="200",step="Router"} 2.0' in page
        assert b'inference_graph_step_requests_total{node="both",status="200",step="Combiner"} 1.0' in page


async def test_every_step_gets_the_trace_and_the_id_and_nothing_private() -> None:
    seen: list[dict[str, str]] = []

    async def handle(request: Any) -> Any:
        seen.append({name.lower(): value for name, value in request.headers.items()})
        return web.json_response({"x": 1})

    app = web.Application()
    app.router.add_post("/{tail:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    steps = [{"serviceUrl": f"http://127.0.0.1:{runner.addresses[0][1]}/{name}"} for name in "ab"]
    try:
        async with routing({"root": node("Sequence", *steps)}) as process, client_of(process) as http:  # type: ignore[arg-type]
            trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            await http.call("POST", "/", {"x": 1}, traceparent=trace, Cookie="secret", Authorization="Bearer x")
    finally:
        await runner.cleanup()
    assert [headers["traceparent"] for headers in seen] == [trace, trace]
    assert seen[0]["x-request-id"] == seen[1]["x-request-id"] != ""
    assert not any({"cookie", "authorization"} & set(headers) for headers in seen)


async def test_what_is_slow_or_gone_is_an_answer_that_names_the_step() -> None:
    async def stands_still(request: Any) -> Any:
        await asyncio.Event().wait()

    app = web.Application()
    app.router.add_post("/slow", stands_still)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slow = {"serviceUrl": f"http://127.0.0.1:{runner.addresses[0][1]}/slow", "name": "slow", "timeout": 0.05}
    gone = {"serviceUrl": "http://127.0.0.1:1/", "name": "gone"}
    try:
        async with routing({"root": node("Ensemble", slow, gone)}) as process, client_of(process) as http:  # type: ignore[arg-type]
            status, answer = await http.post("/", {})
            assert status == 200
            assert "step slow: 127.0.0.1 did not answer within 0.05 s" in answer["slow"]["error"]
            assert "step gone: 127.0.0.1" in answer["gone"]["error"]
            assert (await http.get("/"))[0] == 200
            assert (await http.get("/elsewhere"))[0] == 405
    finally:
        await runner.cleanup()


def test_a_graph_that_cannot_be_ends_the_start_with_the_reason() -> None:
    with pytest.raises(SettingsError, match=r"missing field\(s\): nodes.root"):
        Config(graph="{}").nodes()
    with pytest.raises(SettingsError, match="graph: Expecting"):
        Config(graph="{").nodes()
    environment = {**os.environ, "GRAPH": "{}"}
    done = subprocess.run(
        [sys.executable, "-m", "runtimes.graph", "--port", "0"],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1 and "nodes.root" in done.stderr


def test_the_process_serves_until_sigterm() -> None:
    environment = {**os.environ, "GRAPH": json.dumps({"root": node("Sequence", to("double"))}), "PORT": "0"}
    command = [sys.executable, "-m", "runtimes.graph"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            assert any("a graph of 1 nodes" in line for line in process.stderr)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


# Choices by header, shadows, rewards


async def test_rules_by_header_come_before_chance() -> None:
    nodes = {
        "root": node(
            "Switch",
            to("one", match={"header": "X-Region", "value": "eu-*"}, condition="x"),
            to("double", match={"header": "X-Beta"}),
            {"nodeName": "rest", "condition": "@this"},
        ),
        "rest": node("Splitter", to("add1", weight=50), to("negate", weight=50)),
    }
    world = World(nodes)
    for headers in ({"x_region": "eu-west"}, {"x_region": "us"}, {"x_beta": "yes"}, {}):
        await world.answer(**headers)
    assert world.asked == ["one", "add1", "double", "negate"]


async def test_a_callers_header_reaches_the_split_and_no_step() -> None:
    async with contextlib.AsyncExitStack() as stack:
        models = [Times(2.0), Times(4.0)]
        frames = [await stack.enter_async_context(serving(SeldonStyle(made), model_name="m")) for made in models]
        steps = [{"serviceUrl": f"http://127.0.0.1:{each.port}/api/v1.0/predictions", "weight": 50} for each in frames]
        process = await stack.enter_async_context(
            routing({"root": node("Splitter", *steps, splitBy={"header": "X-User"})})
        )
        http = await stack.enter_async_context(client_of(process))  # type: ignore[arg-type]
        taken = {}
        for user in range(12):
            question = {"data": {"ndarray": [[1.0]]}}
            calls = [await http.call("POST", "/", question, **{"X-User": f"u{user}"}) for _ in range(2)]
            assert len({json.dumps(answer) for _, answer, _ in calls}) == 1
            taken[calls[0][2]["X-Graph-Routing"]] = calls[0][1]["data"]["ndarray"]
        assert taken == {"root=0": [[2.0]], "root=1": [[4.0]]}


async def test_a_shadow_gets_copies_and_its_end_or_silence_hurts_nobody() -> None:
    got, gate = [], asyncio.Event()

    async def handle(request: Any) -> Any:
        got.append(await request.json())
        await gate.wait()
        return web.json_response({"error": "nobody reads this"}, status=500)

    app = web.Application()
    app.router.add_post("/shadow", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    shadows = [
        {"serviceUrl": f"http://127.0.0.1:{runner.addresses[0][1]}/shadow", "weight": 50},
        {"serviceUrl": "http://127.0.0.1:1/", "name": "gone"},
    ]
    question = {"data": {"ndarray": [[1.0]]}}
    async with serving(SeldonStyle(Times(2.0)), model_name="m") as frame:
        url = f"http://127.0.0.1:{frame.port}/api/v1.0/predictions"
        nodes = {"root": node("Sequence", {"serviceUrl": url}, shadows=shadows)}
        async with routing(nodes) as process, client_of(process) as http:  # type: ignore[arg-type]
            answers = [await http.post("/", question) for _ in range(300)]
            assert {(status, answer["data"]["ndarray"][0][0]) for status, answer in answers} == {(200, 2.0)}
            _, page = await http.get("/metrics")
            gate.set()
    await runner.cleanup()
    # Every second request is copied; a hundred copies may be on their way, and these all stand still.
    assert b'inference_graph_shadows_dropped_total{node="root",step="shadow-0"} 5' in page
    assert 90 <= len(got) <= 100 and got[0] == question
    assert b'inference_graph_step_requests_total{node="root",status="503",step="gone"}' in page


@pytest.mark.parametrize("kind", [bandit.EpsilonGreedy, bandit.Thompson])
def test_more_than_four_of_five_go_to_the_step_that_is_rewarded(kind: type[bandit.Bandit]) -> None:
    router = kind()
    router.random = random.Random(7)
    taken = []
    for _ in range(1000):
        arm = router.route({})
        taken.append(arm)
        won = router.random.random() < (0.1, 0.9)[arm]
        router.send_feedback({"reward": int(won), "response": {"meta": {"routing": {"root": arm}}}})
    assert taken.count(1) > 800
    known = {(each["key"], each["tags"]["arm"]): each["value"] for each in router.metrics()}
    assert known["bandit_rewarded", "1"] == taken.count(1)


@pytest.mark.parametrize(
    "document",
    [{}, {"reward": 1}, {"reward": "1", "response": {"meta": {"routing": {"a": 1}}}},
     {"reward": 1, "response": {"meta": {"routing": {"a": 2}}}}],
)  # fmt: skip
def test_feedback_that_cannot_be_used_says_so(document: Any) -> None:
    with pytest.raises(ValueError, match=r"write \{|there are steps 0 to 1"):
        bandit.Thompson().send_feedback(document)


async def test_a_bandit_routes_a_graph_and_learns_over_http() -> None:
    async with contextlib.AsyncExitStack() as stack:
        router = bandit.EpsilonGreedy()
        router.epsilon = 0.0
        frames = [
            await stack.enter_async_context(serving(made, model_name="m"))
            for made in (router, SeldonStyle(Times(2.0)), SeldonStyle(Times(4.0)))
        ]
        urls = [f"http://127.0.0.1:{each.port}/api/v1.0/" for each in frames]
        steps = [{"serviceUrl": f"{url}predictions"} for url in urls[1:]]
        process = await stack.enter_async_context(
            routing({"root": node("Router", *steps, serviceUrl=f"{urls[0]}route")})
        )
        http = await stack.enter_async_context(client_of(process))  # type: ignore[arg-type]
        teacher = await stack.enter_async_context(client_of(frames[0]))
        question = {"data": {"ndarray": [[1.0]]}}
        for _ in range(6):
            _, answer, headers = await http.call("POST", "/", question)
            arm = int(headers["X-Graph-Routing"].removeprefix("root="))
            assert answer["data"]["ndarray"] == [[(2.0, 4.0)[arm]]]
            feedback = {"reward": arm, "response": {"meta": {"routing": {"root": arm}}}}
            assert (await teacher.post("/api/v1.0/send-feedback", feedback))[0] == 200
        assert router.counts[0] <= 2 and router.counts[1] >= 4, "once both are known, the better one"
