"""V1, V2 and the other systems' paths over real HTTP: forms, versions, errors, limits, streams, drains."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtimes.echo.runtime import Echo
from runtimes.http.messages import HttpLimits
from tests.support.model_servers import Doubler, Recommender, client_of, serving

ROW = [1.0, 2.0, 3.0, 4.0]
TWICE = [2.0, 4.0, 6.0, 8.0]


def infer(**changes: Any) -> dict[str, Any]:
    """Return a V2 request for the doubler."""
    return {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": ROW, **changes}]}


async def test_v2_answers_as_the_specification_has_it() -> None:
    async with serving(Doubler(), model_name="m") as frame, client_of(frame) as http:
        assert await http.get("/v2/health/live") == (200, {"live": True})
        assert await http.get("/v2/health/ready") == (200, {"ready": True})
        assert await http.get("/v2/models/m/ready") == (200, {"name": "m", "ready": True})
        assert await http.get("/v2/models/m/versions/1/ready") == (200, {"name": "m", "ready": True})
        status, server = await http.get("/v2")
        assert status == 200 and server["extensions"][0] == "binary_tensor_data"
        assert (await http.get("/v2/models/m"))[1] == {
            "name": "m",
            "versions": ["1"],
            "platform": "python",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
        }
        wanted = {"model_name": "m", "model_version": "1", "id": "7"}
        wanted |= {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 4], "data": TWICE}]}
        assert await http.post("/v2/models/m/infer", infer() | {"id": "7"}) == (200, wanted)
        assert await http.post("/v2/models/m/versions/1/infer", infer(data=[ROW]) | {"id": "7"}) == (200, wanted)


BAD_REQUESTS: list[tuple[str, Any, int, str]] = [
    ("no inputs", {}, 400, "inputs"),
    ("not JSON", "{", 400, "body"),
    ("nested too deep", "[" * 100_000, 400, "body"),
    ("no data", {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32"}]}, 400, "'x'"),
    ("datatype", infer(datatype="FP99"), 400, "FP99"),
    ("wrong datatype", infer(datatype="INT32", data=[1, 2, 3, 4]), 400, "the model takes FP32"),
    ("floats for integers", infer(datatype="INT32"), 400, "not INT32"),
    ("too large", infer(datatype="UINT8", data=[1, 2, 3, 300]), 400, "300 is not UINT8"),
    ("text for numbers", infer(data=["1", "2", "3", "4"]), 400, "not FP32"),
    ("null", infer(data=[None, 2, 3, 4]), 400, "not FP32"),
    ("ragged", infer(data=[[1, 2], [3]]), 400, "rectangular"),
    ("too few values", infer(data=[1]), 400, "needs 4 values, data has 1"),
    ("negative shape", infer(shape=[-1, 4]), 400, "shape"),
    ("absurd shape", infer(shape=[1 << 40, 4]), 400, "elements"),
    ("FP16 in JSON", infer(datatype="FP16"), 400, "binary"),
    ("unknown input", infer(name="z"), 400, "'z'"),
    ("unknown output", infer() | {"outputs": [{"name": "z"}]}, 400, "output 'z'"),
    ("no rows", infer(shape=[0, 4], data=[]), 400, "no row"),
    ("timeout", infer() | {"parameters": {"timeout": "soon"}}, 400, "timeout"),
    ("shared memory", infer(parameters={"shared_memory_region": "r"}), 501, "shared memory"),
    ("binary size", infer(parameters={"binary_data_size": 99}), 400, "binary_data_size"),
]


@pytest.mark.parametrize(
    ("body", "status", "text"), [row[1:] for row in BAD_REQUESTS], ids=[r[0] for r in BAD_REQUESTS]
)
async def test_v2_names_what_is_wrong(body: Any, status: int, text: str) -> None:
    async with serving(Doubler(), model_name="m") as frame, client_of(frame) as http:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        got, answer, _ = await http.call("POST", "/v2/models/m/infer", data=data)
        assert got == status
        assert text in answer["error"]


async def test_binary_tensors_and_the_raw_short_form() -> None:
    async with serving(Doubler(), model_name="m") as frame, client_of(frame) as http:
        raw = np.array(ROW, "<f4").tobytes()
        head = json.dumps(
            {
                "inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}}],
                "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
            }
        ).encode()
        status, body, headers = await http.call(
            "POST", "/v2/models/m/infer", data=head + raw, Inference_Header_Content_Length=str(len(head))
        )
        length = int(headers["Inference-Header-Content-Length"])
        assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
        assert json.loads(body[:length])["outputs"][0]["parameters"] == {"binary_data_size": 16}
        assert np.frombuffer(body[length:], "<f4").tolist() == TWICE
        status, body, headers = await http.call(
            "POST", "/v2/models/m/infer", data=raw * 2, Inference_Header_Content_Length="0"
        )
        length = int(headers["Inference-Header-Content-Length"])
        assert np.frombuffer(body[length:], "<f4").tolist() == TWICE * 2
        for size, text in (("99999", "99999"), ("x", "not a number"), (str(len(head) - 1), "body"), ("-1", "number")):
            status, answer, _ = await http.call(
                "POST", "/v2/models/m/infer", data=head + raw, Inference_Header_Content_Length=size
            )
            assert status == 400 and text in answer["error"]


V1_FORMS: list[tuple[str, Any, Any]] = [
    ("rows", {"instances": [ROW]}, {"predictions": [TWICE]}),
    ("rows by name", {"instances": [{"x": ROW}, {"x": ROW}]}, {"predictions": [TWICE, TWICE]}),
    ("columns", {"inputs": [ROW]}, {"outputs": [TWICE]}),
    ("columns by name", {"inputs": {"x": [ROW]}}, {"outputs": [TWICE]}),
    ("signature", {"signature_name": "serving_default", "instances": [ROW]}, {"predictions": [TWICE]}),
]


@pytest.mark.parametrize(("asked", "answered"), [row[1:] for row in V1_FORMS], ids=[row[0] for row in V1_FORMS])
async def test_v1_answers_in_the_form_of_the_question(asked: Any, answered: Any) -> None:
    async with serving(Doubler(), model_name="m") as frame, client_of(frame) as http:
        assert await http.post("/v1/models/m:predict", asked) == (200, answered)
        assert await http.post("/v1/models/m/versions/1:predict", asked) == (200, answered)


async def test_v1_the_recommender_of_the_field() -> None:
    async with serving(Recommender(), model_name="recommender") as frame, client_of(frame) as http:
        columns = {"signature_name": "serving_default", "inputs": {"products": [[1], [2]], "users": [[25], [4]]}}
        status, answer = await http.post("/v1/models/recommender:predict", columns)
        assert (status, answer) == (200, {"outputs": [[pytest.approx(0.04)], [0.5]]})
        rows = {"instances": [{"products": [1], "users": [25]}, {"products": [2], "users": [4]}]}
        status, answer = await http.post("/v1/models/recommender:predict", rows)
        assert (status, answer) == (200, {"predictions": [[pytest.approx(0.04)], [0.5]]})
        status, answer = await http.post("/v1/models/recommender:predict", {"instances": [[1]]})
        assert status == 400 and "products, users" in answer["error"]


async def test_v1_explain_status_metadata_and_binary_values() -> None:
    async with serving(Doubler(), model_name="m") as frame, client_of(frame) as http:
        assert await http.post("/v1/models/m:explain", {"instances": [[-1, 2, -3, 4]]}) == (
            200,
            {"explanations": [ROW]},
        )
        status, answer = await http.get("/v1/models/m")
        assert (status, answer["ready"]) == (200, True)
        assert answer["model_version_status"][0]["state"] == "AVAILABLE"
        assert (await http.get("/v1/models"))[1] == {"models": ["m"]}
        assert (await http.get("/"))[1] == {"status": "alive"}
        signature = (await http.get("/v1/models/m/metadata"))[1]["metadata"]["signature_def"]["signature_def"]
        assert signature["serving_default"]["inputs"]["x"] == {"dtype": "FP32", "shape": [-1, 4]}
    async with serving(Echo(), model_name="m") as frame, client_of(frame) as http:
        asked = {"instances": [{"b64": "/w=="}, {"b64": "aGk="}]}
        assert await http.post("/v1/models/m:predict", asked) == (200, {"predictions": [{"b64": "/w=="}, "hi"]})
        two = {"instances": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]}
        assert await http.post("/v1/models/m:predict", two) == (200, {"predictions": two["instances"]})


async def test_v1_cloudevents_both_ways() -> None:
    async with serving(Doubler(), model_name="m") as frame, client_of(frame) as http:
        named = {"ce_specversion": "1.0", "ce_id": "7", "ce_source": "me", "ce_type": "ask"}
        status, answer, headers = await http.call("POST", "/v1/models/m:predict", {"instances": [ROW]}, **named)
        assert (status, answer) == (200, {"predictions": [TWICE]})
        got = {name: headers[name] for name in ("ce-id", "ce-source", "ce-type", "ce-specversion")}
        assert got == {
            "ce-id": "7",
            "ce-source": "io.kserve.inference.m",
            "ce-type": "io.kserve.inference.response",
            "ce-specversion": "1.0",
        }
        event = {"specversion": "1.0", "id": "8", "source": "me", "type": "ask", "data": {"instances": [ROW]}}
        media = {"Content_Type": "application/cloudevents+json; charset=utf-8"}
        status, body, headers = await http.call("POST", "/v1/models/m:predict", event, **media)
        assert (status, headers["Content-Type"]) == (200, "application/cloudevents+json")
        document = json.loads(body)
        assert (document["id"], document["data"]) == ("8", {"predictions": [TWICE]})
        packed = {name: value for name, value in event.items() if name != "data"}
        packed["data_base64"] = base64.b64encode(json.dumps(event["data"]).encode()).decode()
        assert (await http.call("POST", "/v1/models/m:predict", packed, **media))[0] == 200
        for changes, text in (({"id": ""}, "'id'"), ({"specversion": "0.3"}, "0.3"), ({"id": "a\r\nb: c"}, "ASCII")):
            status, answer, _ = await http.call("POST", "/v1/models/m:predict", event | changes, **media)
            assert status == 400 and text in answer["error"]
        bad = {"specversion": "1.0", "id": "9", "source": "me", "type": "ask", "data_base64": "?"}
        assert (await http.call("POST", "/v1/models/m:predict", bad, **media))[0] == 400


ROUTES: list[tuple[str, str, int]] = [
    ("GET", "/nowhere", 404),
    ("GET", "/v2/models/none", 404),
    ("GET", "/v2/models/none/ready", 404),
    ("GET", "/v2/models/m/versions/9", 404),
    ("POST", "/v2/models/none/infer", 404),
    ("GET", "/v2/models/m/infer", 405),
    ("POST", "/v2/health/live", 405),
    ("GET", "/v2/models/m/fly", 404),
    ("GET", "/v1/models/none", 404),
    ("GET", "/v1/models/m:predict", 405),
    ("POST", "/v1/models/m:classify", 501),
    ("POST", "/v1/models/none:predict", 404),
    ("GET", "/v1/models/m/labels/none", 404),
    ("POST", "/v2/repository/models/none/load", 404),
    ("POST", "/v2/repository/models/none/unload", 404),
    ("POST", "/v2/repository/other/index", 501),
    ("GET", "/predict/m", 405),
    ("GET", "/v2/models/%2e%2e/ready", 404),
]


async def test_paths_and_methods_that_are_not_served() -> None:
    async with serving(Doubler(), model_name="m") as frame, client_of(frame) as http:
        for method, path, wanted in ROUTES:
            status, answer, _ = await http.call(method, path, {"instances": [ROW]} if method == "POST" else None)
            assert (method, path, status) == (method, path, wanted)
            assert set(answer) == {"error", "reason"}


async def test_generate_and_its_stream() -> None:
    async with serving(Doubler(), model_name="m") as frame, client_of(frame) as http:
        asked = {"text_input": "a b c", "parameters": {"max_tokens": 5}}
        whole = {"model_name": "m", "model_version": "1", "text_output": "abc"}
        assert await http.post("/v2/models/m/generate", asked) == (200, whole)
        status, body, headers = await http.call("POST", "/v2/models/m/generate_stream", asked)
        events = [json.loads(line.removeprefix("data: ")) for line in body.decode().split("\n\n") if line]
        assert status == 200 and headers["Content-Type"].startswith("text/event-stream")
        assert [event["text_output"] for event in events] == ["a", "b", "c"]
        status, answer, _ = await http.call("POST", "/v2/models/m/generate_stream", {"text_input": "fail"})
        assert status == 500 and "at 0" in answer["error"], "a failure before the first piece has its status"
        status, body, _ = await http.call("POST", "/v2/models/m/generate_stream", {"text_input": "a fail"})
        assert status == 200 and b'"text_output":"a"' in body and b"at 1" in body.split(b"\n\n")[1]
        assert (await http.post("/v2/models/m/generate", {"text": "a"}))[0] == 422
        assert (await http.post("/v2/models/m/generate", {"text_input": "a", "max_tokens": 0}))[0] == 422


async def test_compression_is_taken_and_given_when_asked() -> None:
    async with serving(Echo(), model_name="m", body_limit_mib=1) as frame, client_of(frame) as http:
        body = json.dumps(infer(shape=[1, 1000], data=[0] * 1000)).encode()
        for name, packed in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body))):
            status, answer, headers = await http.call(
                "POST", "/v2/models/m/infer", data=packed, Content_Encoding=name, Accept_Encoding=name
            )
            assert (status, headers.get("Content-Encoding")) == (200, name)
            assert answer["outputs"][0]["shape"] == [1, 1000]
        _, _, headers = await http.call("POST", "/v2/models/m/infer", data=body, Accept_Encoding="br, identity")
        assert "Content-Encoding" not in headers
        cases = [("br", body, 501), ("gzip", body, 400), ("gzip", gzip.compress(body)[:-9], 400)]
        cases.append(("gzip", gzip.compress(bytes(2 << 20)), 413))
        for name, packed, wanted in cases:
            status, answer, _ = await http.call("POST", "/v2/models/m/infer", data=packed, Content_Encoding=name)
            assert status == wanted, answer


async def test_limits_and_malformed_requests_end_the_connection() -> None:
    async with serving(Echo(), model_name="m", body_limit_mib=1) as frame:
        frame.http.limits = HttpLimits(body_bytes=1 << 20, head_bytes=4096)
        cases = [
            (b"GARBAGE\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nX: " + b"y" * 5000 + b"\r\n\r\n", 413),
            (b"GET /" + b"y" * 5000 + b" HTTP/1.1\r\n\r\n", 413),
            (b"POST /v2/models/m/infer HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n", 413),
            (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 501),
        ]
        for sent, wanted in cases:
            reader, writer = await asyncio.open_connection("127.0.0.1", frame.port)
            writer.write(sent)
            answer = await asyncio.wait_for(reader.read(), 30)
            assert answer.startswith(b"HTTP/1.1 %d" % wanted), sent[:40]
            writer.close()
        assert frame.http.totals.buffered_bytes == 0


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serving(Doubler(), model_name="m") as frame:
        reader, writer = await asyncio.open_connection("127.0.0.1", frame.port)
        for number in range(40):
            body = json.dumps(infer() | {"id": str(number)}).encode()
            writer.write(b"POST /v2/models/m/infer HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            writer.write(b"GET /v2/health/live HTTP/1.1\r\n\r\n")
        seen = []
        for _ in range(80):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            seen.append(json.loads(await reader.readexactly(length)).get("id", "live"))
        assert seen == [word for number in range(40) for word in (str(number), "live")]
        writer.close()


async def test_expect_continue_head_and_http_1_0() -> None:
    async with serving(Echo(), model_name="m") as frame:
        reader, writer = await asyncio.open_connection("127.0.0.1", frame.port)
        writer.write(b"POST /v2/models/m/infer HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"{}")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400")
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", frame.port)
        writer.write(b"HEAD /v2 HTTP/1.0\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 30)).endswith(b"\r\n\r\n")
        writer.close()


class Slow:
    """Waits until it is let go; counts what was cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def predict(self, inputs: dict[str, Any]) -> Any:
        self.begun.set()
        await self.go.wait()
        return inputs["x"]


async def test_a_client_that_leaves_takes_its_request_along() -> None:
    model = Slow()
    async with serving(model, model_name="m", instances=1) as frame, client_of(frame) as http:
        body = json.dumps(infer()).encode()
        _, writer = await asyncio.open_connection("127.0.0.1", frame.port)
        writer.write(b"POST /v2/models/m/infer HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await model.begun.wait()
        queued = asyncio.create_task(http.post("/v2/models/m/infer", infer()))
        servable = frame.repository.find("m")
        while servable.batcher.waiting == 0:
            await asyncio.sleep(0)
        queued.cancel()
        writer.close()
        async with asyncio.timeout(30):
            while servable.pending:
                await asyncio.sleep(0.01)
        assert servable.batcher.waiting == 0
        assert servable.statistics.cancelled == 2
        model.go.set()


async def test_a_deadline_and_a_full_queue() -> None:
    model = Slow()
    async with serving(model, model_name="m", instances=1, max_queue_size=1) as frame, client_of(frame) as http:
        status, answer = await http.post("/v2/models/m/infer", infer() | {"parameters": {"timeout": 20_000}})
        assert status == 504 and "deadline" in answer["error"]
        running = asyncio.create_task(http.post("/v2/models/m/infer", infer()))
        queued = asyncio.create_task(http.post("/v2/models/m/infer", infer()))
        servable = frame.repository.find("m")
        while servable.batcher.waiting == 0:
            await asyncio.sleep(0.005)
        status, answer, headers = await http.call("POST", "/v2/models/m/infer", infer())
        assert (status, answer["reason"], headers["Retry-After"]) == (429, "queue_full", "1")
        model.go.set()
        assert [(await running)[0], (await queued)[0]] == [200, 200]


async def test_a_drain_lets_requests_end() -> None:
    model = Slow()
    async with serving(model, model_name="m") as frame, client_of(frame) as http:
        running = asyncio.create_task(http.call("POST", "/v2/models/m/infer", infer()))
        await model.begun.wait()
        closing = asyncio.create_task(frame.http.close())
        await asyncio.sleep(0.02)
        model.go.set()
        status, _, headers = await running
        assert (status, headers["Connection"]) == (200, "close")
        await closing
        assert not frame.http.connections


async def test_openapi_statistics_metrics_and_index() -> None:
    async with serving(Doubler(), model_name="m") as frame, client_of(frame) as http:
        await http.post("/v2/models/m/infer", infer())
        await http.post("/v2/models/m/infer", infer(data=[float("nan")] * 4))
        document = (await http.get("/v2/models/m/openapi.json"))[1]
        assert document["openapi"] == "3.1.0"
        assert set(document["paths"]) == {"/v2/models/m/infer", "/v1/models/m:predict", "/v2/models/m/ready"}
        tensor = document["components"]["schemas"]["InferRequest"]["properties"]["inputs"]["items"]["anyOf"][0]
        assert tensor["properties"]["datatype"] == {"const": "FP32"}
        for path in ("/v2/models/stats", "/v2/models/m/stats", "/v2/models/m/versions/1/stats"):
            stats = (await http.get(path))[1]["model_stats"][0]
            assert stats["inference_stats"]["success"]["count"] == 1
            assert stats["batch_stats"][0]["batch_size"] == 1
        metrics = (await http.get("/metrics"))[1].decode()
        assert 'model_infer_request_success_total{model="m",version="1"} 1' in metrics
        index = await http.post("/v2/repository/index")
        assert index == (200, [{"name": "m", "version": "1", "state": "READY", "reason": ""}])


async def test_other_systems_paths() -> None:
    async with serving(Doubler(), model_name="m") as frame, client_of(frame) as http:
        answer = (200, {"predictions": [TWICE]})
        for path in ("/predict/m", "/predict/m/1", "/predictions/m", "/predictions/m/1"):
            assert await http.post(path, {"instances": [ROW]}) == answer
        assert (await http.get("/ping"))[1] == {"status": "Healthy"}
        for form in ({"ndarray": [ROW]}, {"tensor": {"shape": [1, 4], "values": ROW}}):
            status, got = await http.post("/api/v1.0/predictions", {"data": {"names": ["a"], **form}, "meta": {"p": 1}})
            assert status == 400 and "FP64" in got["error"], "Seldon's numbers are doubles, this model takes floats"
    async with serving(Echo(), model_name="m") as frame, client_of(frame) as http:
        for form in (
            {"ndarray": [[1, 2.5]]},
            {"tensor": {"shape": [1, 2], "values": [1, 2.5]}},
            {"ndarray": [["a", "b"]]},
        ):
            asked = {"data": {"names": [], **form}}
            assert await http.post("/api/v1.0/predictions", asked) == (200, {"meta": {}, **asked})
        for plain in ({"strData": "hi"}, {"binData": "/w=="}, {"jsonData": {"a": [1]}}):
            assert await http.post("/api/v0.1/predictions", plain) == (200, {"meta": {}, **plain})
        assert (await http.post("/api/v1.0/predictions", {"data": {}}))[0] == 400


async def test_the_settings_refuse_what_cannot_be(tmp_path: Path) -> None:
    from runtimes.config import Config
    from tidegate.process.settings import SettingsError

    with pytest.raises(ValueError, match="model_control"):
        Config(model_control="never")
    with pytest.raises(ValueError, match="no folder"):
        Config(model_dir=str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="no model"):
        async with serving():
            pass
    with pytest.raises(SettingsError, match="neither predict nor generate"):
        async with serving(object()):
            pass
