"""What batching gains: the digits network served by runtimes.torch, 64 requests in flight, batched against unbatched.

Three servers of the same weights: *batched* (up to 64 rows per call, filled up to two), *unbatched* (every request by
itself), and *floor* (every request by itself, filled up to two rows), which is what the batched answers are compared
with bit by bit. On this kind of machine a single row goes through other kernels than several, so its last bits differ;
from two rows on they do not. The throughput is compared with the plain unbatched server, the faster of the two.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from bench import processes, shapes
from loadtest.figures import Bar, Figures

IN_FLIGHT = 64
PATH = "/v2/models/digits/infer"
BAR = 3.0
SERVERS: dict[str, list[str]] = {
    "batched": ["--max-batch-size", "64", "--least-rows", "2"],
    "unbatched": [],
    "floor": ["--max-batch-size", "1", "--least-rows", "2"],
}
Round = dict[str, Any]


def measure(rounds: int, seconds: int, say: Callable[[str], None]) -> Figures:
    """Measure and return the figures. Raises RuntimeError when a server does not start."""
    near, cores = processes.cores()
    results: list[Round] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        say("training the digits network where there is none ...")
        images = prepare(folder)
        started: dict[str, tuple[int, int]] = {}
        for name, flags in SERVERS.items():
            port = processes.free_port()
            command = [sys.executable, "-m", "runtimes.torch", "--port", str(port), "--model-dir", str(folder)]
            command += ["--model-name", "digits", "--threads", "1", "--device", "cpu", "--log-level", "warning", *flags]
            pid = stack.enter_context(processes.running(command, port, pinned=cores, log=folder / f"{name}.log"))
            started[name] = port, pid
        say("comparing answers bit by bit ...")
        equal = asyncio.run(compare(images, {name: port for name, (port, _) in started.items()}))
        script = folder / "body.lua"
        script.write_text(lua(images))
        shape = shapes.Shape("digits", "64 pixels, binary", IN_FLIGHT, path=PATH, script=script.read_text())
        for number in range(-1, rounds):
            order = ("batched", "unbatched") if number % 2 == 0 else ("unbatched", "batched")
            for name in order:
                say(f"round {number + 1} of {rounds}: {name}")
                port, pid = started[name]
                seen = shapes.load(shape, port, seconds if number >= 0 else 1, {}, near, folder)
                if number >= 0:
                    results.append({"round": number, "server": name, **seen})
        mean_rows = asyncio.run(mean_batch(started["batched"][0]))
    figures = Figures(rounds=results, notes={**summary(results), **equal, "mean_batch": mean_rows})
    different = equal["answers"] - equal["equal_to_unbatched_with_floor"]
    figures.bars = [
        Bar("rps_over_unbatched", figures.notes["rps_ratio"], "x", BAR, at_least=True),
        Bar("answers_not_bit_equal", different, "", 0),
    ]
    return figures


def prepare(folder: Path) -> Any:
    """Write the network's weights and settings into `folder`; return 256 held-out images as float32."""
    from examples.digits import model

    file = folder / "model.pt"
    if model.default_path().exists() and model.default_path().suffix == model.TORCH_SUFFIX:
        file.write_bytes(model.default_path().read_bytes())
    else:
        model.train(model.TORCH_SUFFIX)[0].save(file)
    tensor = {"datatype": "FP32", "shape": [-1]}
    settings = {
        "name": "digits",
        "inputs": [{"name": "pixels", **tensor, "shape": [-1, model.PIXELS]}],
        "outputs": [{"name": "scores", **tensor, "shape": [-1, 10]}],
        "parameters": {"extra": {"class": "examples.digits.model:TorchModel.build"}},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))
    return (model.load_split()[1][:256] / model.BRIGHTEST).astype("<f4")


def head_of(image: Any) -> bytes:
    """Return the JSON part of a binary request for one image."""
    size = {"binary_data_size": 4 * len(image)}
    tensor = {"name": "pixels", "shape": [1, len(image)], "datatype": "FP32", "parameters": size}
    return json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()


def lua(images: Any) -> str:
    """Return wrk's script: every request another image, in binary."""
    bodies = ", ".join(f'"{_escaped(head_of(image) + image.tobytes())}"' for image in images[:64])
    length = len(head_of(images[0]))
    return f"""local bodies = {{ {bodies} }}
local headers = {{ ["Inference-Header-Content-Length"] = "{length}", ["Content-Type"] = "application/octet-stream" }}
local n = 0
request = function() n = n % #bodies + 1; return wrk.format("POST", nil, headers, bodies[n]) end
"""


def _escaped(raw: bytes) -> str:
    return "".join(f"\\{byte:03d}" for byte in raw)


async def compare(images: Any, ports: dict[str, int]) -> dict[str, int]:
    """Ask all servers for all images, the batched one 64 at a time; count the answers that are equal bit by bit."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session:
        answers = {}
        for name, port in ports.items():
            limit = asyncio.Semaphore(IN_FLIGHT if name == "batched" else 1)
            answers[name] = await asyncio.gather(*(_scores(session, limit, port, image) for image in images))
    return {
        "answers": len(images),
        "equal_to_unbatched_with_floor": _equal(answers["batched"], answers["floor"]),
        "equal_to_unbatched": _equal(answers["batched"], answers["unbatched"]),
        "same_digit_as_unbatched": sum(
            int(np.argmax(np.frombuffer(one, "<f4")) == np.argmax(np.frombuffer(other, "<f4")))
            for one, other in zip(answers["batched"], answers["unbatched"], strict=True)
        ),
    }


def _equal(ours: Sequence[bytes], theirs: Sequence[bytes]) -> int:
    return sum(one == other for one, other in zip(ours, theirs, strict=True))


async def _scores(session: aiohttp.ClientSession, limit: asyncio.Semaphore, port: int, image: Any) -> bytes:
    head = head_of(image)
    headers = {"Inference-Header-Content-Length": str(len(head))}
    async with limit:
        url = f"http://127.0.0.1:{port}{PATH}"
        async with session.post(url, data=head + image.tobytes(), headers=headers) as answer:
            body = await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"a server answered {answer.status}: {body!r:.200}")
            return body[int(answer.headers["Inference-Header-Content-Length"]) :]


async def mean_batch(port: int) -> float:
    """Return how many rows a call of the batched model had on average."""
    url = f"http://127.0.0.1:{port}/v2/models/digits/stats"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        stats = (await answer.json())["model_stats"][0]
    return float(round(stats["inference_count"] / stats["execution_count"], 1))


def summary(results: Sequence[Round]) -> dict[str, Any]:
    """Return medians of both servers and the ratio of their throughput with its spread, taken round by round."""
    by_name = {name: [one for one in results if one["server"] == name] for name in ("batched", "unbatched")}
    ratios = sorted(
        one["rps"] / other["rps"] for one, other in zip(by_name["batched"], by_name["unbatched"], strict=True)
    )
    found: dict[str, Any] = {
        name: {key: round(statistics.median(one[key] for one in each), 2) for key in ("rps", "p50_ms", "p99_ms")}
        | {"errors": sum(one["errors"] for one in each)}
        for name, each in by_name.items()
    }
    return found | {"rps_ratio": round(statistics.median(ratios), 2), "rps_ratio_spread": [ratios[0], ratios[-1]]}
